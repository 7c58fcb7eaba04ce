//! The browser that the program serves.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::scene::{Scene, each, program};

/// The program while it serves. It is ended with its test.
struct Served {
    process: Child,
    address: String,
}

impl Served {
    fn new(scene: &Scene, arguments: &str) -> Self {
        let mut program = scene.program();
        program.arg("serve").args(arguments.split_whitespace()).arg("--json").stdout(Stdio::piped());
        let mut process = program.spawn().unwrap();
        let mut told = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut told).unwrap();
        let told: Value = serde_json::from_str(&told).unwrap();
        let address = told["address"].as_str().unwrap().trim_start_matches("http://").trim_end_matches('/');
        Self { process, address: address.to_owned() }
    }

    /// Asks as a page of this origin does.
    fn ask(&self, what: &str, form: &str) -> String {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        let (host, length) = (&self.address, form.len());
        let head = format!(
            "{what} HTTP/1.1\r\nhost: {host}\r\nsec-fetch-site: same-origin\r\nconnection: close\r\ncontent-length: {length}"
        );
        write!(connection, "{head}\r\n\r\n{form}").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// What the first form of a page would send. Nothing in it has to be escaped.
fn form(page: &str) -> String {
    let form = page.split("<form method=\"post\"").nth(1).unwrap().split("</form>").next().unwrap();
    let fields = form.split("name=\"").skip(1).map(|field| {
        let (name, rest) = field.split_once('"').unwrap();
        let value = rest.split("value=\"").nth(1).unwrap().split('"').next().unwrap();
        format!("{name}={value}")
    });
    fields.collect::<Vec<_>>().join("&")
}

const LETTERS: &str = "GET /subscription?name=letters";

#[tokio::test]
async fn a_store_is_browsed_and_changed_by_nobody() {
    let scene = Scene::new().await;
    let served = Served::new(&scene, "");
    let page = served.ask(LETTERS, "");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("out of paper"), "{page}");
    assert!(!page.contains("<form method=\"post\""), "{page}");
    let refused = served.ask("POST /act", "verb=replay-all&name=letters");
    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("change nothing"), "{refused}");
    assert_eq!(each(&scene.json("subscriptions"), "parked"), [1]);
    let told = scene.refused("serve --listen 0.0.0.0:0", 2);
    assert!(told.contains("this machine alone"), "{told}");
}

#[tokio::test]
async fn a_failed_event_is_replayed_there_where_that_is_allowed() {
    let scene = Scene::new().await;
    let served = Served::new(&scene, "sqlite:orders.db --allow-actions");
    let done = served.ask("POST /act", &form(&served.ask(LETTERS, "")));
    assert!(done.starts_with("HTTP/1.1 303"), "{done}");
    assert_eq!(each(&scene.json("subscriptions"), "parked"), [0]);
}

/// A server that is asked for TLS, and agrees: what comes then is how TLS begins.
#[test]
fn a_connection_to_postgres_is_encrypted_where_the_address_says_so() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let url = format!("postgres://me@127.0.0.1:{port}/app?sslmode=require");
    let folder = tempfile::tempdir().unwrap();
    let mut asking = program(folder.path(), &url).arg("streams").stderr(Stdio::null()).spawn().unwrap();
    let (mut connection, _) = server.accept().unwrap();
    let mut asked = [0; 8];
    connection.read_exact(&mut asked).unwrap();
    assert_eq!(asked, [0, 0, 0, 8, 4, 210, 22, 47], "the message SSLRequest");
    connection.write_all(b"S").unwrap();
    let mut hello = [0; 2];
    connection.read_exact(&mut hello).unwrap();
    assert_eq!(hello, [22, 3], "a handshake of TLS");
    asking.kill().unwrap();
    asking.wait().unwrap();
}
