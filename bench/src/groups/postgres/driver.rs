//! What the driver costs.
use crate::Result;
use crate::bench::Bench;
use crate::postgres::Server;

pub async fn measure(_bench: &mut Bench, _server: &Server) -> Result<()> {
    Ok(())
}
