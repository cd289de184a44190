//! The configuration of a cluster for one person on one machine: `squall demo` and `squall up`.

use super::{ConfigError, Loaded, load_text};
use std::fmt::Write;
use std::path::PathBuf;

/// What differs between one personal cluster and the next.
#[derive(Clone, Debug)]
pub struct Personal {
    pub cluster: String,
    /// Everything that it keeps, its socket included.
    pub dir: PathBuf,
    /// The agent's program and its first arguments.
    pub agent: Vec<String>,
    /// What can be "bought" of this machine, each in a partition of its own name; the first is the default.
    pub shapes: Vec<PersonalShape>,
    /// How long a node without work stays, for example `2m`.
    pub idle_after: String,
    /// How long demand is collected before nodes are ordered, for example `1s`.
    pub batch_idle: String,
    /// How often it is looked which nodes there are, for example `5s`: a node that left is gone after two looks.
    pub listing_every: String,
}

/// A kind of node.
#[derive(Clone, Debug)]
pub struct PersonalShape {
    pub partition: String,
    pub cpus: u32,
    pub memory_mib: u64,
    /// `MODEL:COUNT`, or empty.
    pub gpus: String,
    /// They are this machine's own; else they are declared, and only numbers.
    pub real_gpus: bool,
    pub gpu_memory_mib: u64,
    /// Dollars for an hour of one node, for example `32.00`.
    pub price: String,
    pub max_nodes: u32,
}

impl Personal {
    /// The configuration file: to be kept in the cluster's folder, where its owner may change it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let quoted = |text: &str| toml_edit::Value::from(text).to_string();
        let path = |name: &str| quoted(&self.dir.join(name).to_string_lossy());
        let agent: toml_edit::Array = self.agent.iter().map(String::as_str).collect();
        let user = nix::unistd::getuid().as_raw();
        let mut line = |args: std::fmt::Arguments<'_>| writeln!(text, "{args}").expect("writing to memory cannot fail");
        line(format_args!(
            "# A personal cluster: nodes are processes of this machine, and come and go with the queue."
        ));
        line(format_args!("cluster = {}", quoted(&self.cluster)));
        line(format_args!("admins = [\"{user}\"]\n"));
        line(format_args!("[controller]\nstate_dir = {}\nsocket = {}", path("state"), path("ctld.sock")));
        line(format_args!(
            "socket_mode = \"0600\"\nlisten = \"127.0.0.1:0\"\nheartbeat = \"1s\"\ndisk_reserve = \"64M\"\n"
        ));
        line(format_args!("[timing]\nbatch_idle = {}\ncontact_timeout = \"10s\"", quoted(&self.batch_idle)));
        for (index, shape) in self.shapes.iter().enumerate() {
            let name = quoted(&shape.partition);
            line(format_args!("\n[partitions.{name}]\npools = [{name}]\ndefault = {}", index == 0));
            line(format_args!("default_time = \"1h\"\nmax_time = \"7d\"\n"));
            line(format_args!("[pools.{name}]\nprovisioner = \"local\"\nmax_nodes = {}", shape.max_nodes));
            line(format_args!("idle_after = {}\nmin_lifetime = \"0s\"\nsettle = \"0s\"", quoted(&self.idle_after)));
            let every = quoted(&self.listing_every);
            line(format_args!("listing_every = {every}\nabsence_grace = {every}\nregister_within = \"2m\""));
            line(format_args!("local = {{ agent ={agent}, dir = {} }}\n", path("nodes")));
            line(format_args!("[pools.{name}.offers.{name}]\ncpus = {}\nmemory = {}", shape.cpus, shape.memory_mib));
            if !shape.gpus.is_empty() {
                line(format_args!("gpus = {}\ngpu_memory = {}", quoted(&shape.gpus), shape.gpu_memory_mib));
                line(format_args!("real_gpus = {}", shape.real_gpus));
            }
            line(format_args!("price = {}\ntypical_boot = \"2s\"", quoted(&shape.price)));
        }
        text
    }

    /// # Errors
    /// Where the shapes or the folder make no configuration.
    pub fn load(&self) -> Result<Loaded, Vec<ConfigError>> {
        load_text(&self.dir.join("squall.toml"), &self.text(), [])
    }
}
