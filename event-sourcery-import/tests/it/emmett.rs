//! From Emmett, which is at work meanwhile.

use event_sourcery_import::{Holes, Import, Mapping, PostgresSource, SqliteSource};
use postgres_cluster::Server;

use crate::programs::Program;
use crate::scene::{in_a_file, is_followed, memory};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_followed_while_emmett_writes_and_its_holes_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.sqlite");
    let mut shop = Program::shop(path.to_str().unwrap());
    assert_eq!(shop.told("add cart-1 3"), "3");
    shop.told("write");
    let source = async || SqliteSource::emmett(&path).await.unwrap();
    let (store, mapping) = (in_a_file(folder.path()).await, Mapping::new("shop").holes(Holes::Keep));
    is_followed(&source, &store, &mapping, async || drop(shop.told("stop"))).await;
    let planned = Import::new(source().await, &store, mapping).dry_run().await.unwrap();
    assert!(planned.streams_with_holes > 0, "refused appends raise versions: {planned:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_followed_while_emmett_writes() {
    let database = Server::shared().create_database();
    let url = database.url();
    let mut shop = Program::shop(&url);
    assert_eq!(shop.told("add cart-1 3"), "3");
    shop.told("write");
    let source = async || PostgresSource::emmett(&url).await.unwrap();
    is_followed(&source, &memory(), &Mapping::new("shop"), async || drop(shop.told("stop"))).await;
}
