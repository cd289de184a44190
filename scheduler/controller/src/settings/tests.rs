use super::*;
use squall_core::config::{BudgetPeriod, BudgetScope};
use squall_types::{MicroUsd, NodeName, PartitionName, PoolName, Span};
use std::fmt::Write;

/// Small and complete.
const GOOD: &str = r#"
cluster = "c1"
accounts = ["default", "nlp"]

[partitions.gpu]
pools = ["h100"]
max_time = "1-00:00:00"

[pools.h100]
provisioner = "local"
max_nodes = 8

[pools.h100.offers.big]
cpus = 96
memory = "1T"
gpus = "h100:8"
gpu_memory = "80G"
price = "$98.32"

[budgets.nlp]
scope = "account:nlp"
limit = "$100"
period = "month"
"#;

fn read(text: &str, environment: &[(&str, &str)]) -> Result<Loaded, Vec<ConfigError>> {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load_text(Path::new("squall.toml"), text, environment)
}

#[test]
fn a_configuration_becomes_what_the_core_knows() {
    let loaded = read(GOOD, &[]).expect("it is good");
    let partition = &loaded.cluster.partitions[&PartitionName::new("gpu")];
    assert!(partition.default, "the only partition is the default one");
    assert_eq!(partition.max_time, Some(Span::from_hours(24)));
    let pool = &loaded.cluster.pools[&PoolName::new("h100")];
    let offer = &pool.offers[0];
    assert_eq!(offer.name.as_str(), "big/local/on-demand");
    assert_eq!((offer.price.0, offer.shape.memory_mib, offer.shape.gpus.count()), (98_320_000, 1 << 20, 8));
    let budget = &loaded.cluster.budgets[&"nlp".into()];
    assert_eq!(budget.scope, BudgetScope::Account("nlp".into()));
    assert_eq!((budget.limit, budget.period), (MicroUsd::from_dollars(100), BudgetPeriod::Month));
}

#[test]
fn the_environment_overrides_the_file_whatever_the_case_of_its_names() {
    let text =
        GOOD.replace("h100]", "H100-spot]").replace("h100.", "H100-spot.").replace("[\"h100\"]", "[\"H100-spot\"]");
    let loaded = read(
        &text,
        &[
            ("SQUALL__POOLS__H100_SPOT__MAX_NODES", "3"),
            ("SQUALL__PARTITIONS__GPU__MAX_TIME", "15m"),
            ("SQUALL__PARTITIONS__GPU__EXCLUSIVE", "true"),
            ("SQUALL__ACCOUNTS", "default, nlp, vision"),
            ("SQUALL__TELEMETRY__LOG", "debug"),
            ("SQUALL_CONF", "is no setting"),
        ],
    )
    .expect("it is good");
    assert_eq!(loaded.cluster.pools[&PoolName::new("H100-spot")].max_nodes, 3);
    let partition = &loaded.cluster.partitions[&PartitionName::new("gpu")];
    assert_eq!((partition.max_time, partition.exclusive), (Some(Span::from_mins(15)), true));
    assert_eq!(loaded.cluster.accounts.len(), 3);
    assert_eq!(loaded.settings.telemetry.log, "debug");
}

#[test]
fn every_value_is_shown_with_its_source() {
    let loaded = read(GOOD, &[("SQUALL__POOLS__H100__MAX_NODES", "3")]).expect("it is good");
    let entries = loaded.entries();
    let shown = |key: &str| {
        let entry = entries.iter().find(|entry| entry.key == key).unwrap_or_else(|| panic!("no {key}"));
        (entry.value.clone(), entry.source.clone())
    };
    let pair = |value: &str, source: &str| (value.to_owned(), source.to_owned());
    assert_eq!(shown("cluster"), pair("c1", "squall.toml:2:1"));
    assert_eq!(shown("partitions.gpu.max_time"), pair("1d", "squall.toml:7:1"));
    assert_eq!(shown("pools.h100.max_nodes"), pair("3", "environment variable SQUALL__POOLS__H100__MAX_NODES"));
    assert_eq!(shown("pools.h100.idle_after"), pair("5m", "default"));
    assert_eq!(shown("pools.h100.offers.big.price"), pair("$98.32", "squall.toml:18:1"));
    assert_eq!(shown("timing.kill_wait"), pair("30s", "default"));
    assert_eq!(shown("budgets.nlp.limit"), pair("$100.00", "squall.toml:22:1"));
}

#[test]
fn static_machines_are_named_by_host_lists() {
    let text = "[partitions.p]\npools = [\"rack\"]\n[pools.rack]\nprovisioner = \"static\"\n\
                [pools.rack.nodes.\"n[01-03]\"]\ncpus = 8\nmemory = \"32G\"\n";
    let loaded = read(text, &[]).expect("it is good");
    let pool = &loaded.cluster.pools[&PoolName::new("rack")];
    let names: Vec<&str> = pool.static_nodes.keys().map(NodeName::as_str).collect();
    assert_eq!(names, ["n01", "n02", "n03"]);
    assert_eq!(pool.provisioner, "");
}

#[test]
fn a_personal_configuration_is_one_like_any_other() {
    let shape = |partition: &str, gpus: &str| PersonalShape {
        partition: partition.to_owned(),
        cpus: 16,
        memory_mib: 65_536,
        gpus: gpus.to_owned(),
        gpu_memory_mib: 81_920,
        real_gpus: gpus == "h200:1",
        price: "32.00".to_owned(),
        max_nodes: 4,
    };
    let personal = Personal {
        cluster: "demo".to_owned(),
        dir: "/tmp/odd \"folder\"".into(),
        agent: vec!["/usr/bin/squall".to_owned(), "agent".to_owned()],
        shapes: vec![shape("gpu", "h100:8"), shape("own", "h200:1"), shape("cpu", "")],
        idle_after: "10s".to_owned(),
        batch_idle: "200ms".to_owned(),
        listing_every: "2s".to_owned(),
    };
    let loaded = personal.load().unwrap_or_else(|errors| panic!("{errors:?}\n{}", personal.text()));
    assert_eq!(loaded.cluster.default_partition(), Some(&PartitionName::new("gpu")));
    assert_eq!(loaded.settings.controller.state_dir, Path::new("/tmp/odd \"folder\"/state"));
    assert_eq!(loaded.settings.pools["cpu"].local.agent, personal.agent);
    let declared = |pool: &str| loaded.cluster.pools[&PoolName::new(pool)].offers[0].shape.gpus.0[0].declared;
    assert_eq!((declared("gpu"), declared("own")), (true, false));
}

#[test]
fn a_file_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("squall.toml");
    std::fs::write(&path, GOOD).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).unwrap();
    let errors = load(&path).unwrap_err();
    assert!(errors[0].problem.contains("mode 0664"), "{errors:?}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    load(&path).unwrap();
    let errors = load(&dir.path().join("none.toml")).unwrap_err();
    assert!(errors[0].problem.contains("No such file"), "{errors:?}");
    assert!(load(dir.path()).unwrap_err()[0].problem.contains("no file"));
    std::fs::write(&path, vec![b'#'; CONFIG_BYTES as usize + 1]).unwrap();
    assert!(load(&path).unwrap_err()[0].problem.contains("longer than"));
    std::fs::write(&path, b"cluster = \"\xff\"").unwrap();
    assert!(load(&path).is_err());
}

#[test]
fn the_published_schema_takes_what_is_read_and_nothing_else() {
    let schema = json_schema();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["$defs"]["PartitionSettings"]["additionalProperties"], false);
    assert!(schema["$defs"]["OfferSettings"]["properties"]["cpus"].is_object(), "{schema:#}");
    insta::assert_snapshot!("schema", schema_text());
}

/// Each with what it changes in the good configuration: a line that is added in front of a table, or a replacement.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("syntax", "cluster = \"c1\"", "cluster = \"c1"),
    ("a key twice", "cluster = \"c1\"", "cluster = \"c1\"\ncluster = \"c2\""),
    ("unknown key", "max_time =", "max_tme ="),
    ("unknown table", "[budgets.nlp]", "[budget.nlp]"),
    ("unknown key without a neighbour", "cluster = \"c1\"", "xyzzy = 1"),
    ("unknown key in an inline table", "max_nodes = 8", "max_nodes = 8\nlocal = { agent = [\"a\"], dirr = \"/x\" }"),
    ("wrong type: text for number", "max_nodes = 8", "max_nodes = \"eight\""),
    ("wrong type: number for text", "cluster = \"c1\"", "cluster = 1"),
    ("wrong type: text for list", "pools = [\"h100\"]", "pools = \"h100\""),
    ("wrong type in a list", "pools = [\"h100\"]", "pools = [\"h100\", 2]"),
    (
        "wrong type: value for table",
        "[partitions.gpu]\npools = [\"h100\"]\nmax_time = \"1-00:00:00\"",
        "partitions = 3",
    ),
    ("wrong type: boolean", "max_time =", "up = \"yes\"\nmax_time ="),
    ("negative count", "max_nodes = 8", "max_nodes = -1"),
    ("count too large", "max_nodes = 8", "max_nodes = 5000000000"),
    ("fraction", "max_nodes = 8", "max_nodes = 1.5"),
    ("time without unit", "max_time = \"1-00:00:00\"", "max_time = 60"),
    ("time as text without unit", "max_time = \"1-00:00:00\"", "max_time = \"60\""),
    ("no time", "max_time = \"1-00:00:00\"", "max_time = \"soon\""),
    ("time of nothing", "max_time = \"1-00:00:00\"", "max_time = \"0s\""),
    ("size", "memory = \"1T\"", "memory = \"lots\""),
    ("negative price", "price = \"$98.32\"", "price = -1.5"),
    ("price as text", "price = \"$98.32\"", "price = \"98,32\""),
    ("price too exact", "price = \"$98.32\"", "price = \"0.00000001\""),
    ("misspelt word", "provisioner = \"local\"", "provisioner = \"locl\""),
    ("unknown word", "provisioner = \"local\"", "provisioner = \"mainframe\""),
    ("missing key", "pools = [\"h100\"]", "up = true"),
    ("missing keys of an offer", "cpus = 96\nmemory = \"1T\"", "cores = 2"),
    ("unknown pool", "pools = [\"h100\"]", "pools = [\"h10\"]"),
    ("unknown pool without a neighbour", "pools = [\"h100\"]", "pools = [\"mainframe\"]"),
    ("a pool twice", "pools = [\"h100\"]", "pools = [\"h100\", \"h100\"]"),
    ("no pool", "pools = [\"h100\"]", "pools = []"),
    ("two defaults", "max_time =", "default = true\n[partitions.b]\npools = [\"h100\"]\ndefault = true\nmax_time ="),
    ("no promised start", "max_time =", "reservation_depth = 0\nmax_time ="),
    ("default time above maximum", "max_time =", "default_time = \"2d\"\nmax_time ="),
    ("min above max", "max_nodes = 8", "min_nodes = 9\nmax_nodes = 8"),
    ("pool above the cluster", "max_nodes = 8", "max_nodes = 30000"),
    ("nothing to buy", "[pools.h100.offers.big]", "[pools.other.offers.big]"),
    ("static pool that buys", "provisioner = \"local\"", "provisioner = \"static\""),
    ("gpus without a model", "gpus = \"h100:8\"", "gpus = \"8\""),
    ("too many gpus", "gpus = \"h100:8\"", "gpus = \"h100:9999\""),
    ("no cpus", "cpus = 96", "cpus = 0"),
    ("more cores than cpus", "cpus = 96", "cpus = 96\ncores = 128"),
    (
        "node under two switches",
        "[pools.h100]",
        "[switches.a]\nnodes = \"n[1-2]\"\n[switches.b]\nnodes = \"n2\"\n[pools.h100]",
    ),
    ("switch without anything", "[pools.h100]", "[switches.a]\n[pools.h100]"),
    (
        "unknown switch",
        "[pools.h100]",
        "[switches.rack]\nnodes = \"n1\"\n[switches.top]\nswitches = [\"rak\"]\n[pools.h100]",
    ),
    (
        "switch above itself",
        "[pools.h100]",
        "[switches.a]\nswitches = [\"b\"]\n[switches.b]\nswitches = [\"a\"]\n[pools.h100]",
    ),
    ("switch with no host list", "[pools.h100]", "[switches.a]\nnodes = \"n[1-\"\n[pools.h100]"),
    ("budget of nothing", "scope = \"account:nlp\"", "scope = \"account:npl\""),
    ("budget of an unknown partition", "scope = \"account:nlp\"", "scope = \"partition:gpus\""),
    ("budget of something else", "scope = \"account:nlp\"", "scope = \"nlp\""),
    ("budget of no user", "scope = \"account:nlp\"", "scope = \"user:nobody-of-that-name\""),
    (
        "budget over endless jobs",
        "scope = \"account:nlp\"",
        "scope = \"cluster\"\nperiod = \"day\"\nlimit = 5\n[partitions.endless]\npools = [\"h100\"]\n[budgets.b]\nscope = \"pool:h100\"\nlimit = 9\nperiod = \"day\"\n[budgets.c]\nscope = \"user:0\"",
    ),
    ("unknown period", "period = \"month\"", "period = \"fortnight\""),
    ("default account that is not allowed", "accounts = [\"default\", \"nlp\"]", "accounts = [\"nlp\"]"),
    ("allowed account that is not", "max_time =", "allow_accounts = [\"nlpp\"]\nmax_time ="),
    ("unknown admin", "cluster = \"c1\"", "admins = [\"nobody-of-that-name\"]"),
    ("name", "[partitions.gpu]", "[partitions.\"g p u\"]"),
    (
        "machine twice",
        "max_nodes = 8",
        "max_nodes = 8\n[pools.h100.nodes.\"a[1-2]\"]\ncpus=1\nmemory=\"1G\"\n[pools.h100.nodes.a2]\ncpus=1\nmemory=\"1G\"",
    ),
    ("host list bomb", "max_nodes = 8", "max_nodes = 8\n[pools.h100.nodes.\"a[1-999999999]\"]\ncpus=1\nmemory=\"1G\""),
    ("relative path", "max_nodes = 8", "max_nodes = 8\nfile_systems = [\"home\"]"),
    ("address", "cluster = \"c1\"", "controller.listen = \"everywhere\""),
    ("mode", "cluster = \"c1\"", "controller.socket_mode = \"rw\""),
    ("heartbeat above the timeout", "cluster = \"c1\"", "controller.heartbeat = \"1m\""),
    ("uids of a login host", "cluster = \"c1\"", "login_hosts.l1.uids = \"0-100\""),
    ("log directives", "cluster = \"c1\"", "telemetry.log = \"a=b=c\""),
    ("script limit", "cluster = \"c1\"", "limits.max_script = \"1G\""),
    ("several at once", "max_nodes = 8", "max_nodes = \"x\"\nidle_aftr = 3\nsettle = \"1 s\""),
];

#[test]
fn every_mistake_is_told_with_its_place_and_what_would_be_right() {
    let mut golden = String::new();
    for (name, from, to) in MISTAKES {
        assert!(GOOD.contains(from), "{name}: {from} is not there");
        let text = GOOD.replacen(from, to, 1);
        let errors = read(&text, &[]).expect_err(name);
        writeln!(golden, "## {name}").unwrap();
        errors.iter().for_each(|error| writeln!(golden, "{error}").unwrap());
    }
    insta::assert_snapshot!("mistakes", golden);
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    let mut golden = String::new();
    for variable in [
        ("SQUALL__POOLS__H100__MAX_NODES", "many"),
        ("SQUALL__POOLS__H100__MAX_NODE", "3"),
        ("SQUALL__PARTITIONS__GPU__MAX_TIME", "15"),
        ("SQUALL__PARTITIONS__CPU__UP", "true"),
        ("SQUALL__PARTITIONS__GPU__UP", "maybe"),
        ("SQUALL__", "x"),
    ] {
        let errors = read(GOOD, &[variable]).expect_err(variable.0);
        errors.iter().for_each(|error| writeln!(golden, "{error}").unwrap());
    }
    insta::assert_snapshot!("environment", golden);
}
