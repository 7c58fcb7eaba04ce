//! Chromium, driven by WebDriver: a dozen requests with JSON, written to a socket. A client from elsewhere would bring more crates than
//! the browser itself has.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// How long an answer may take. Chromium begins slowly where much else is tested.
const PATIENCE: Duration = Duration::from_secs(60);

/// By this name WebDriver tells of an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A Chromium without a screen, and the driver that it is driven by. Both end with their test.
pub(super) struct Chromium {
    driver: Child,
    // The driver would fail at what it says if nobody could hear it.
    _told: BufReader<ChildStdout>,
    address: String,
    session: String,
}

impl Chromium {
    /// One that runs scripts.
    pub(super) fn new() -> Self {
        Self::with(&json!({}))
    }

    /// One that runs no scripts but those of its driver.
    pub(super) fn without_scripts() -> Self {
        Self::with(&json!({ "profile.managed_default_content_settings.javascript": 2 }))
    }

    fn with(preferences: &Value) -> Self {
        let started = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn();
        let mut driver = started.expect("chromedriver is missing: apt-get install chromium chromium-driver");
        let mut told = BufReader::new(driver.stdout.take().unwrap());
        let address = format!("127.0.0.1:{}", port(&mut told));
        let mut chromium = Self { driver, _told: told, address, session: String::new() };
        // Root may start it only so, and it has no other pages to be kept from.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1100,800",
        ];
        let capabilities = json!({
            "goog:chromeOptions": { "args": arguments, "prefs": preferences },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let begun = chromium.call("POST", "", &json!({ "capabilities": { "alwaysMatch": capabilities } }));
        chromium.session = format!("/{}", begun["sessionId"].as_str().unwrap());
        chromium
    }

    /// What the driver answers. A dialog that a page has opened is an error, so that a script that opens one is found out.
    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = send(&self.address, method, &format!("/session{}{path}", self.session), body).unwrap();
        assert!(!answer["error"].is_string(), "{method} {path} {body}: {answer}");
        answer
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", path, body)
    }

    #[track_caller]
    pub(super) fn go(&self, address: &str) {
        self.post("/url", &json!({ "url": address }));
    }

    /// Where it is.
    pub(super) fn address(&self) -> String {
        self.call("GET", "/url", &Value::Null).as_str().unwrap().to_owned()
    }

    /// What a script returns, beside those of the page.
    #[track_caller]
    pub(super) fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What a script hands to the last of its arguments.
    #[track_caller]
    pub(super) fn wait_for(&self, script: &str) -> Value {
        self.post("/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// What is to be read in the main part of the page.
    #[track_caller]
    pub(super) fn text(&self) -> String {
        self.script("return document.querySelector('main').innerText").as_str().unwrap().to_owned()
    }

    /// How many elements there are.
    #[track_caller]
    pub(super) fn count(&self, selector: &str) -> u64 {
        self.script(&format!("return document.querySelectorAll({}).length", json!(selector)))
            .as_u64()
            .unwrap()
    }

    #[track_caller]
    fn find(&self, using: &str, value: &str) -> String {
        let found = self.post("/element", &json!({ "using": using, "value": value }));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Clicks the first link that says this.
    #[track_caller]
    pub(super) fn follow(&self, link: &str) {
        let element = self.find("link text", link);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Clicks the first element that a CSS selector finds.
    #[track_caller]
    pub(super) fn click(&self, selector: &str) {
        let element = self.find("css selector", selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Types into a field.
    #[track_caller]
    pub(super) fn enter(&self, selector: &str, text: &str) {
        let element = self.find("css selector", selector);
        self.post(&format!("/element/{element}/value"), &json!({ "text": text }));
    }

    /// Presses a key, wherever the focus is.
    #[track_caller]
    pub(super) fn press(&self, key: char) {
        let strokes = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        self.post("/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": strokes }] }));
    }

    /// A command of Chromium's own protocol.
    #[track_caller]
    pub(super) fn command(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({ "cmd": command, "params": parameters }))
    }

    /// What pages have complained about since this was asked: errors, and what the content security policy has kept them from.
    #[track_caller]
    pub(super) fn complaints(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({ "type": "browser" }));
        entries.as_array().unwrap().iter().map(|entry| entry["message"].to_string()).collect()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The driver ends its Chromium; after that, nothing is left but the driver itself.
        let _ = send(&self.address, "DELETE", &format!("/session{}", self.session), &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Where the driver says that it listens. It has said before where it was asked to.
fn port(told: &mut impl io::BufRead) -> u16 {
    for line in told.lines() {
        let line = line.unwrap();
        if let Some((_, port)) = line.rsplit_once("successfully on port ")
            && let Ok(port) = port.trim_end_matches('.').parse()
        {
            return port;
        }
    }
    panic!("chromedriver has ended before it listened");
}

/// What is answered. The driver keeps its connections, so what comes is as long as it says.
fn send(address: &str, method: &str, path: &str, body: &Value) -> io::Result<Value> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(format!("{head}{body}").as_bytes())?;
    let (mut answer, mut length) = (BufReader::new(connection), 0);
    loop {
        let mut line = String::new();
        answer.read_line(&mut line)?;
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            _ if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    answer.read_exact(&mut body)?;
    let mut answer: Value = serde_json::from_slice(&body)?;
    Ok(answer["value"].take())
}
