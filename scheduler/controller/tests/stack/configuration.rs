use crate::stage::{Stage, batch, configuration};
use squall_proto::ClientError;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_configuration_holds_whole_or_not_at_all() {
    let stage = Stage::start().await;
    let client = stage.local().await;
    let good = configuration(stage.dir.path());
    let write = |text: &str| std::fs::write(stage.file(), text).unwrap();

    write(&good.replace("[partitions.rack]", "[partitions.extra]\npools = [\"rack\"]\n[partitions.rack]\nmax_tim = 3"));
    let Err(ClientError::Refused(refusal)) = client.reconfigure().await else { panic!("it is wrong") };
    assert!(refusal.limit.contains("unknown key `max_tim`") && refusal.limit.contains("max_time"), "{refusal:?}");
    assert_eq!(client.partitions().await.unwrap().len(), 1);

    write(&good.replace("cluster = \"c1\"", "cluster = \"c2\""));
    assert!(matches!(client.reconfigure().await, Err(ClientError::Refused(_))), "a cluster keeps its name");

    write(
        &good.replace("[partitions.rack]", "[partitions.extra]\npools = [\"rack\"]\n[partitions.rack]\ndefault = true"),
    );
    let changes = client.reconfigure().await.unwrap();
    assert!(changes.iter().any(|change| change.starts_with("partitions.extra.pools: (unset) -> ")), "{changes:?}");
    let mut extra = batch("t1");
    extra.spec.partitions = vec!["extra".into()];
    client.submit(extra).await.unwrap();
    assert_eq!(client.reconfigure().await.unwrap(), Vec::<String>::new());

    let entries = client.config_show().await.unwrap();
    let shown = entries.iter().find(|entry| entry.key == "partitions.rack.default").unwrap();
    assert_eq!(shown.value, "true");
    assert!(shown.source.ends_with("squall.toml:15:1"), "{}", shown.source);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_read_at_the_start_says_so() {
    let stage = Stage::start().await;
    let client = stage.local().await;
    let text = configuration(stage.dir.path()).replace("disk_reserve = \"1M\"", "disk_reserve = \"2M\"");
    std::fs::write(stage.file(), text).unwrap();
    assert_eq!(client.reconfigure().await.unwrap(), ["controller.disk_reserve: 1M -> 2M (from the next start)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_what_the_state_knows() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stage = Stage::start().await;
    stage.down().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = configuration(stage.dir.path());
    let text = text.replace("disk_reserve", &format!("metrics = \"127.0.0.1:{port}\"\ndisk_reserve"));
    std::fs::write(stage.file(), text).unwrap();
    stage.up().await.unwrap();
    stage.local().await.submit(batch("t1")).await.unwrap();
    let mut connection = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    connection.write_all(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n").await.unwrap();
    let mut told = String::new();
    connection.read_to_string(&mut told).await.unwrap();
    for line in [
        "squall_jobs{partition=\"rack\",state=\"pending\"} 1",
        "slurm_jobs_pending 1",
        "slurm_node_cpus{node=\"n1\"} 4",
        "squall_requests_total{verb=\"Submit\"} 1",
        "squall_controller_epoch 2",
    ] {
        assert!(told.lines().any(|known| known == line), "{line} is not in\n{told}");
    }
    let families: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let names: std::collections::BTreeSet<&str> = families.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(families.len(), names.len(), "a family is told once");
}
