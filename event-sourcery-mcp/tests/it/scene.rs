//! An assistant, and a store that has something in it.

use std::time::Duration;

use event_sourcery::uuid::Uuid;
use event_sourcery::{Context, EventStore, MemoryBackend, RawEvent, StreamId, TenantId};
use event_sourcery_mcp::Tools;
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};

/// The correlation id of everything about order 1003.
pub(crate) const REQUEST: Uuid = Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_1003);

/// A store in which order 1003 was placed and paid, and its invoice issued because of that; whose letters fail on the payment; and in
/// which another tenant has an order.
pub(crate) async fn store() -> EventStore {
    let store = EventStore::new(MemoryBackend::new()).erased();
    let order = StreamId::from_name("orders/1003").unwrap();
    let invoice = StreamId::from_name("invoices/77").unwrap().in_category("invoices").unwrap();
    let request = store.with_context(Context::new().with_correlation_id(REQUEST));
    let event = |name: &'static str| RawEvent::new(name, r#"{"euros": 7.10}"#).unwrap();
    request.append(&order, [event("Placed"), event("Paid")]).await.unwrap();
    let paid = &store.load_stream::<RawEvent>(&order).await.unwrap()[1];
    store.caused_by(paid).append(&invoice, event("Issued")).await.unwrap();
    store.for_tenant(TenantId::new("acme").unwrap()).append(&order, event("Placed")).await.unwrap();

    let letters = || store.subscribe::<RawEvent>().event_names(["Paid"]).durable("letters").attempts(1);
    let watched = letters();
    let is_parked = async move {
        while watched.parked().await.map_or(0, |parked| parked.len()) < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    letters().until(is_parked).run(async |_, _| Err("the printer is out of paper".into())).await.unwrap();
    store
}

/// Who talks to the tools, as the protocol says.
pub(crate) struct Assistant {
    to: WriteHalf<DuplexStream>,
    from: Lines<BufReader<ReadHalf<DuplexStream>>>,
    asked: u64,
}

impl Assistant {
    pub(crate) async fn new(tools: Tools) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (input, output) = tokio::io::split(theirs);
        tokio::spawn(tools.serve(input, output));
        let (from, to) = tokio::io::split(ours);
        let mut assistant = Self { to, from: BufReader::new(from).lines(), asked: 0 };
        let this = json!({ "name": "test", "version": "1" });
        let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": this });
        let answer = assistant.ask("initialize", hello).await;
        assert_eq!(answer["result"]["serverInfo"]["name"], "event-sourcery", "{answer}");
        assistant.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        assistant
    }

    async fn say(&mut self, message: &Value) {
        self.to.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
        loop {
            let line = self.from.next_line().await.unwrap().unwrap();
            let answer: Value = serde_json::from_str(&line).unwrap();
            if answer["id"] == id {
                return answer;
            }
        }
    }

    /// The names of the tools that it has.
    pub(crate) async fn tools(&mut self) -> Vec<String> {
        let answer = self.ask("tools/list", json!({})).await;
        let tools = answer["result"]["tools"].as_array().unwrap().clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// What a tool answers.
    pub(crate) async fn told(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.call(tool, arguments).await;
        assert_ne!(answer["result"]["isError"], true, "{answer}");
        let text: Value =
            serde_json::from_str(answer["result"]["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, answer["result"]["structuredContent"]);
        text
    }

    /// Why a tool has no answer.
    pub(crate) async fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let answer = self.call(tool, arguments).await;
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        answer["result"]["content"][0]["text"].as_str().unwrap().to_owned()
    }

    /// There is no such tool.
    pub(crate) async fn is_missing(&mut self, tool: &str) -> bool {
        self.call(tool, json!({})).await["error"]["message"]
            .as_str()
            .is_some_and(|told| told.contains("no tool"))
    }
}

/// What stands under this name in each item of a listing.
pub(crate) fn each<'v>(listing: &'v Value, name: &str) -> Vec<&'v Value> {
    listing["items"].as_array().unwrap().iter().map(|item| &item[name]).collect()
}
