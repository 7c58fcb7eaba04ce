//! What OpenBao knows us by.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use event_sourcery::Source;
use futures_util::future::BoxFuture;
use hyper::header::HeaderValue;

use crate::error::OpenBaoError;

type Give = dyn Fn() -> BoxFuture<'static, Result<String, Source>> + Send + Sync;

/// Where the token comes from that OpenBao knows us by. `Debug` shows nothing of it.
///
/// It is asked for at first, and again when OpenBao has refused the one at hand: so whoever renews tokens, such as the agent of
/// OpenBao, need not tell.
#[derive(Clone)]
pub struct Token(Arc<Give>);

impl Token {
    /// This token, which somebody else renews, or which does not end.
    pub fn from_text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::from_fn(move || std::future::ready(Ok(text.clone())))
    }

    /// The token in this file, without the white space around it, as an agent writes it. The file is read anew each time.
    pub fn from_file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self::from_fn(move || {
            std::future::ready(std::fs::read_to_string(&path).map_err(|problem| Box::new(problem) as Source))
        })
    }

    /// The token that this gives: by a login, or from wherever it is kept.
    ///
    /// ```
    /// use event_sourcery_openbao::Token;
    ///
    /// let token = Token::from_fn(|| async { Ok(std::env::var("BAO_TOKEN")?) });
    /// assert_eq!(format!("{token:?}"), "Token");
    /// ```
    pub fn from_fn<F, A>(give: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<String, Source>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(give())))
    }

    /// As a header, which clients do not show either.
    pub(crate) async fn ask(&self) -> Result<HeaderValue, OpenBaoError> {
        let text = (self.0)().await.map_err(|source| OpenBaoError::NoToken { source })?;
        let header = HeaderValue::from_str(text.trim());
        let mut header =
            header.map_err(|_| OpenBaoError::NoToken { source: "it is no text of one line".into() })?;
        header.set_sensitive(true);
        Ok(header)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}
