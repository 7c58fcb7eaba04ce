//! A transit key, and what it wraps.
//!
//! There is one for all subjects of a store: OpenBao takes batches for one key only, and a page may be about a thousand subjects. What a
//! backup of the store could bring back ends with that key.
//!
//! Nothing that OpenBao says is read as shredded. What it says of a key that is gone depends on the token's rights and on words. So where a
//! call fails, the key itself is looked at, and compared with what it was when it was opened.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use event_sourcery::Error;
use event_sourcery::privacy::{DataKey, KeyWrapping, SubjectOf};
use futures_util::future::try_join_all;
use hyper::Method;
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::batches::{BATCH, key_in, to_decrypt, to_encrypt};
use crate::client::Answer;
use crate::error::OpenBaoError;
use crate::openbao::OpenBao;
use crate::settings::Settings;

/// A key of the transit engine, which wraps the keys of data subjects, and never leaves OpenBao.
///
/// Each is bound to its tenant and subject, of which OpenBao is told a digest: it cannot be unwrapped as another one's. A call wraps or
/// unwraps 249 keys in a request, which is what OpenBao takes, and sends the requests of larger ones together.
///
/// When it is opened, its settings are looked at, and refused ([`OpenBaoError::KeyRefused`]) where something could come back that was
/// shredded, or everything be lost: where the key may be exported or backed up in the clear, was imported, or may be deleted; and
/// where an encryption would make a new key once it was erased ([`OpenBaoError::WouldBeMadeAnew`]). Who changes them afterwards is
/// noticed when it is opened again.
///
/// Its versions may be rotated: what a former one has wrapped it unwraps, and wraps new keys with the latest. Its name, which stands
/// beside each key that it has wrapped, is made of the mount and of its own: another server needs another name.
///
/// Its errors as [`KeyWrapping`]: [`Error::KeyNotUnwrapped`] for a key that it has not wrapped, or not for that subject;
/// [`Error::Unavailable`], which is retryable, and [`Error::Backend`], each with an [`OpenBaoError`].
#[derive(Clone)]
pub struct TransitKey {
    bao: OpenBao,
    key: Arc<str>,
    name: Arc<str>,
    /// As they were when it was opened.
    settings: Arc<Settings>,
}

/// Which paths a token may use, and how.
type Capabilities = HashMap<String, Vec<String>>;

#[derive(Deserialize)]
struct Upserts {
    disable_upsert: bool,
}

impl TransitKey {
    pub(crate) async fn open(bao: OpenBao, key: &str) -> Result<Self, OpenBaoError> {
        let settings = look(&bao, key).await?;
        if let Some(problem) = settings.refusal() {
            return Err(OpenBaoError::KeyRefused { key: key.to_owned(), problem });
        }
        if would_be_made_anew(&bao, key).await? {
            let (mount, key) = (bao.mount().to_owned(), key.to_owned());
            return Err(OpenBaoError::WouldBeMadeAnew { mount, key });
        }
        let name = format!("openbao:{}/{key}", bao.mount()).into();
        Ok(Self { bao, key: key.into(), name, settings: Arc::new(settings) })
    }

    fn path(&self, operation: &str) -> String {
        format!("{}/{operation}/{}", self.bao.mount(), self.key)
    }

    async fn wrap_batch(&self, batch: &[(SubjectOf, DataKey)]) -> event_sourcery::Result<Vec<Vec<u8>>> {
        let path = self.path("encrypt");
        let answer = self.bao.call(Method::POST, &path, to_encrypt(batch)).await?;
        let Some(results) = answer.results(batch.len()) else {
            return Err(self.why(&answer, &path).await.into());
        };
        let mut wrapped = Vec::with_capacity(batch.len());
        for result in results {
            match result.ciphertext {
                Some(ciphertext) if !ciphertext.is_empty() => wrapped.push(ciphertext.as_bytes().to_vec()),
                _ => {
                    let why = self.why(&answer, &path).await;
                    return Err(why.saying(result.error.as_deref().unwrap_or_default()).into());
                }
            }
        }
        Ok(wrapped)
    }

    async fn unwrap_batch(&self, batch: &[(SubjectOf, Vec<u8>)]) -> event_sourcery::Result<Vec<DataKey>> {
        let path = self.path("decrypt");
        let body = match to_decrypt(batch) {
            Ok(body) => body,
            Err(of) => return Err(self.not_unwrapped(of, "it is not what OpenBao makes")),
        };
        let answer = self.bao.call(Method::POST, &path, body).await?;
        let Some(results) = answer.results(batch.len()).filter(|_| answer.status != 500) else {
            return Err(self.why(&answer, &path).await.into());
        };
        let mut keys = Vec::with_capacity(batch.len());
        for ((of, _), result) in batch.iter().zip(results) {
            match result.plaintext.filter(|_| result.error.is_none()).and_then(key_in) {
                Some(key) => keys.push(key),
                None => return Err(self.why_not(of, result.error.as_deref().unwrap_or_default()).await),
            }
        }
        Ok(keys)
    }

    /// Why a key was not unwrapped: because of itself, or because its transit key was replaced.
    async fn why_not(&self, of: &SubjectOf, said: &str) -> Error {
        match look(&self.bao, &self.key).await {
            Err(OpenBaoError::KeyNotFound { .. }) => self.erased().into(),
            Ok(now) if now.replaces(&self.settings) => self.replaced().into(),
            // Then it cannot be told from damage.
            Err(away) if away.passes() => away.into(),
            _ if said.contains("too old") => self.not_unwrapped(
                of,
                "it was wrapped by a version of the transit key that may not decrypt any more: lower `min_decryption_version`",
            ),
            _ if said.contains("too new") => self.not_unwrapped(
                of,
                "it was wrapped by a version that the transit key does not have: OpenBao was restored from a backup, or it is another key",
            ),
            _ => self.not_unwrapped(of, "it was changed, or is of another subject, tenant or transit key"),
        }
    }

    /// Why there are no results. What is said of a key that is gone depends on the token's rights, so the key itself is looked at.
    async fn why(&self, answer: &Answer, path: &str) -> OpenBaoError {
        let refusal = answer.refusal(path, "update");
        let may_be_the_key = matches!(answer.status.as_u16(), 400 | 403 | 500);
        if !may_be_the_key {
            return refusal;
        }
        match look(&self.bao, &self.key).await {
            Err(OpenBaoError::KeyNotFound { .. }) => self.erased(),
            Ok(now) if now.replaces(&self.settings) => self.replaced(),
            Ok(now) if now.is_soft_deleted() => {
                let problem = "it was marked as deleted since it was opened: restore it, or what it has wrapped cannot be read";
                OpenBaoError::KeyRefused { key: self.key.to_string(), problem }
            }
            _ => refusal,
        }
    }

    fn erased(&self) -> OpenBaoError {
        OpenBaoError::KeyErased { key: self.key.to_string() }
    }

    fn replaced(&self) -> OpenBaoError {
        OpenBaoError::KeyReplaced { key: self.key.to_string() }
    }

    fn not_unwrapped(&self, of: &SubjectOf, problem: &str) -> Error {
        Error::KeyNotUnwrapped {
            subject: of.subject.to_string(),
            by: self.name.to_string(),
            problem: problem.into(),
        }
    }
}

/// The settings of a key.
async fn look(bao: &OpenBao, key: &str) -> Result<Settings, OpenBaoError> {
    let path = format!("{}/keys/{key}", bao.mount());
    let answer = bao.call(Method::GET, &path, Bytes::new()).await?;
    if answer.is_nothing() {
        return Err(OpenBaoError::KeyNotFound { mount: bao.mount().to_owned(), key: key.to_owned() });
    }
    match answer.data().filter(|_| answer.status.is_success()) {
        Some(settings) => Ok(settings),
        None => Err(answer.refusal(&path, "read")),
    }
}

/// Whether an encryption would make the key, if it was not there. What the token may not see is taken for yes.
async fn would_be_made_anew(bao: &OpenBao, key: &str) -> Result<bool, OpenBaoError> {
    let config = bao.call(Method::GET, &format!("{}/config/keys", bao.mount()), Bytes::new()).await?;
    if config.status.is_success() && config.data::<Upserts>().is_some_and(|upserts| upserts.disable_upsert) {
        return Ok(false);
    }
    let path = format!("{}/encrypt/{key}", bao.mount());
    let asked = json!({ "paths": [path] }).to_string();
    let answer = bao.call(Method::POST, "sys/capabilities-self", asked.into()).await?;
    let capabilities = answer.data::<Capabilities>().filter(|_| answer.status.is_success());
    let may = capabilities.and_then(|mut capabilities| capabilities.remove(&path));
    Ok(may.is_none_or(|may| may.iter().any(|each| matches!(each.as_str(), "create" | "root"))))
}

#[async_trait]
impl KeyWrapping for TransitKey {
    fn name(&self) -> &str {
        &self.name
    }

    async fn wrap(&self, keys: &[(SubjectOf, DataKey)]) -> event_sourcery::Result<Vec<Vec<u8>>> {
        let mut batches = Vec::new();
        for batch in keys.chunks(BATCH) {
            batches.push(self.wrap_batch(batch));
        }
        Ok(try_join_all(batches).await?.into_iter().flatten().collect())
    }

    async fn unwrap(&self, keys: &[(SubjectOf, Vec<u8>)]) -> event_sourcery::Result<Vec<DataKey>> {
        let mut batches = Vec::new();
        for batch in keys.chunks(BATCH) {
            batches.push(self.unwrap_batch(batch));
        }
        Ok(try_join_all(batches).await?.into_iter().flatten().collect())
    }
}

impl fmt::Debug for TransitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransitKey").field("name", &self.name).field("bao", &self.bao).finish_non_exhaustive()
    }
}
