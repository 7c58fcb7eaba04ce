//! The servers that other tests rely on. Run by `scripts/test`, or under `scripts/with-postgres`.

use std::{fs, path::Path, thread};

use postgres_cluster::{Cluster, Server};

#[test]
fn a_database_lasts_as_long_as_its_value() {
    let server = Server::shared();
    let database = server.create_database();
    let name = database.name().to_owned();
    database.psql("create table event (name text); insert into event values ('OrderPlaced'), ('Ordér''s');");
    assert_eq!(database.psql("select name, 1 from event"), "OrderPlaced|1\nOrdér's|1");
    drop(database);
    let found =
        server.psql("postgres", &format!("select count(*) from pg_database where datname = '{name}'"));
    assert_eq!(found, "0");
}

#[test]
#[should_panic(expected = "relation \"nowhere\" does not exist")]
fn a_failing_statement_panics_with_the_servers_message() {
    Server::shared().psql("postgres", "select * from nowhere; select 1");
}

#[test]
fn committed_rows_survive_a_kill_and_open_transactions_do_not() {
    let mut cluster = Cluster::start(&[("shared_buffers", "16MB")]);
    let database = cluster.create_database();
    database.psql("create table event (position bigint); insert into event values (1);");
    let port = cluster.port();
    thread::scope(|scope| {
        let open =
            scope.spawn(|| database.psql("begin; insert into event values (2); select pg_sleep(600);"));
        wait_until(&cluster, "exists (select from pg_stat_activity where wait_event = 'PgSleep')");
        cluster.kill();
        assert!(open.join().is_err(), "the connection is cut");
    });
    cluster.start_again();
    assert_eq!(cluster.port(), port);
    assert_eq!(database.psql("select position from event"), "1");
}

/// It would be seen by whoever outlives the server's first process: PostgreSQL gives up to wait where that is gone.
#[test]
fn nobody_sees_what_waits_for_a_standby_when_the_server_is_killed() {
    let mut cluster =
        Cluster::start(&[("synchronous_standby_names", "nobody"), ("synchronous_commit", "local")]);
    let database = cluster.create_database();
    database.psql("create table event (position bigint)");
    let waits = "set synchronous_commit = on; insert into event values (1);";
    let looks = "do $$ begin while not exists (select from event) loop end loop; raise 'seen'; end $$";
    thread::scope(|scope| {
        let waits = scope.spawn(|| database.psql(waits));
        let looks = scope.spawn(|| database.psql(looks));
        wait_until(&cluster, "exists (select from pg_stat_activity where wait_event = 'SyncRep')");
        let is_looking = "state = 'active' and query like '%seen%' and pid <> pg_backend_pid()";
        wait_until(&cluster, &format!("exists (select from pg_stat_activity where {is_looking})"));
        cluster.kill();
        assert!(waits.join().is_err(), "it is acknowledged");
        let cut = looks.join().unwrap_err();
        let said = cut.downcast_ref::<String>().expect("what psql said");
        assert!(!said.contains("seen"), "{said}");
    });
}

#[test]
fn a_server_stops_in_order_and_starts_again() {
    let mut cluster = Cluster::start(&[("cluster_name", "it's mine")]);
    let database = cluster.create_database();
    database.psql("create table event (position bigint); insert into event values (1);");
    cluster.stop_fast();
    cluster.start_again();
    assert_eq!(database.psql("select position from event; show cluster_name"), "1\nit's mine");
}

#[test]
fn a_standby_is_in_recovery_and_follows() {
    let cluster = Cluster::start(&[("synchronous_commit", "remote_apply")]);
    let standby = cluster.standby();
    assert_eq!(standby.psql("postgres", "select pg_is_in_recovery()"), "t");
    // From now on a commit waits until the standby shows it.
    cluster.psql("postgres", "alter system set synchronous_standby_names = '*'; select pg_reload_conf();");
    wait_until(&cluster, "exists (select from pg_stat_replication where sync_state = 'sync')");
    cluster.psql("postgres", "create table event (position bigint); insert into event values (1);");
    assert_eq!(standby.psql("postgres", "select position from event"), "1");
}

#[test]
fn a_dump_is_restored_into_another_database() {
    let cluster = Cluster::start(&[]);
    let (from, to) = (cluster.create_database(), cluster.create_database());
    from.psql(
        "create table event (name text); insert into event select 'n' || i from generate_series(1, 20000) i;",
    );
    cluster.restore(to.name(), &cluster.dump(from.name()));
    assert_eq!(to.psql("select count(*), max(name) from event"), "20000|n9999");
}

#[test]
fn a_dropped_cluster_leaves_no_folder_and_no_shared_memory_even_when_it_was_killed() {
    let mut cluster = Cluster::start(&[]);
    let data = cluster.psql("postgres", "show data_directory");
    let folder = Path::new(&data).parent().unwrap().to_owned();
    cluster.kill();
    let left = shared_memory(&data);
    assert!(segments().contains(&left));
    drop(cluster);
    assert!(!folder.exists());
    assert!(!segments().contains(&left));
}

/// Waits in the server until an SQL condition holds.
fn wait_until(cluster: &Cluster, condition: &str) {
    let script = format!(
        "do $$ begin while not {condition} loop
             perform pg_sleep(0.01), pg_stat_clear_snapshot();
         end loop; end $$"
    );
    cluster.psql("postgres", &script);
}

/// The number of a server's shared memory segment, as its process file names it.
fn shared_memory(data: &str) -> String {
    let process = fs::read_to_string(Path::new(data).join("postmaster.pid")).unwrap();
    process.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap().to_owned()
}

/// The numbers of the system's shared memory segments.
fn segments() -> Vec<String> {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    table.lines().filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
}
