use event_sourcery::{Aggregate, Emitting, Event, EventStore, MemoryBackend, Repository, StreamId};

#[derive(Event)]
enum LightEvent {
    TurnedOn,
}

#[derive(Default)]
struct LightSwitch {
    is_on: bool,
}

impl Aggregate for LightSwitch {
    type Event = LightEvent;
    const CATEGORY: &'static str = "light_switch";

    fn apply(&mut self, _: &LightEvent) {
        self.is_on = true;
    }
}

fn turn_on(switch: &mut Emitting<LightSwitch>) -> Result<(), ()> {
    switch.is_on = true;
    switch.apply(&LightEvent::TurnedOn);
    Ok(())
}

async fn in_the_store() -> Result<(), event_sourcery::Error> {
    let switches = Repository::<LightSwitch>::new(&EventStore::new(MemoryBackend::new()));
    let kitchen = switches.load(&StreamId::random()).await?;
    kitchen.is_on = true;
    Ok(())
}

fn main() {
    let _ = (turn_on, in_the_store);
}
