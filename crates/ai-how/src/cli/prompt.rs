//! The arguments of `prompt`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Arch, Format, Place};

/// `prompt` commands.
#[derive(Debug, Subcommand)]
pub enum Prompt {
    /// Build the appliance: a kernel, and an initramfs with busybox, the init and llama.cpp
    ///
    /// Example: ai-how prompt build --arch aarch64
    Build {
        /// The instruction set.
        #[arg(long, value_enum, default_value_t)]
        arch: Arch,
        /// Debian's suite to take packages from [default: the newest that has llama.cpp]
        #[arg(long, value_name = "SUITE")]
        suite: Option<String>,
        /// The package mirror [default: that of the host's apt]
        #[arg(long, value_name = "URL", env = "AI_HOW_MIRROR")]
        mirror: Option<String>,
        /// How the result is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Make the disk that a model is on: raw ext4, without root and without mounting
    ///
    /// Example: ai-how prompt model-disk phi.gguf --output phi.img
    ModelDisk {
        /// The model, a GGUF file.
        model: PathBuf,
        /// The disk [default: the model's path with .img]
        #[arg(short, long, value_name = "FILE", visible_alias = "out")]
        output: Option<PathBuf>,
        /// What the disk has beside the model, MiB.
        #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
        extra_mib: u64,
        /// How the result is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Write a small valid model: llama's architecture, weights of a random generator
    ///
    /// Example: ai-how prompt tiny-model tiny.gguf
    TinyModel {
        /// The file.
        #[arg(default_value = "tiny.gguf")]
        output: PathBuf,
        /// The same seed gives the same bytes.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How the result is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Start the appliance on this terminal and talk to its model; Ctrl-] ends it
    ///
    /// Example: ai-how prompt run tiny.gguf --append zosia.llama_threads=2
    Run(PromptRun),
    /// Test that it boots to its prompt, answers, and powers off
    ///
    /// Example: ai-how prompt smoke --arch aarch64
    Smoke(PromptTest),
    /// Test what it finds: disk, program and model
    ///
    /// Example: ai-how prompt diag tiny.gguf
    Diag(PromptTest),
    /// Test that llama.cpp starts
    ///
    /// Example: ai-how prompt selftest
    Selftest(PromptTest),
    /// Measure how many tokens a second its model generates
    ///
    /// Example: ai-how prompt perf phi.gguf --profile phi35-fast --runs 3 --results phi.csv
    Perf(PromptPerf),
    /// Measure the same for combinations of threads and arguments; goes on where it was interrupted
    ///
    /// Example: ai-how prompt matrix phi.gguf --threads 2,4 --args= --args=-b,256 --results phi.csv
    Matrix(PromptMatrix),
}

/// The machine.
#[derive(Debug, Clone, Args)]
pub struct PromptMachine {
    /// The model: a GGUF file, or a model disk; without it the stub prompt answers.
    pub model: Option<PathBuf>,
    /// The instruction set.
    #[arg(long, value_enum, default_value_t)]
    pub arch: Arch,
    /// Added to the kernel's command line.
    #[arg(long, value_name = "WORDS", default_value = "", allow_hyphen_values = true)]
    pub append: String,
    /// Start with UEFI firmware.
    #[arg(long)]
    pub uefi: bool,
    /// Memory, MiB [default: what the model needs]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(128..=67_108_864))]
    pub memory_mib: Option<u64>,
    /// Virtual processors [default: the host's, eight at most]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub cpus: Option<u32>,
    /// Whose libvirt runs it.
    #[arg(long = "lab", value_enum, default_value_t, value_name = "PLACE")]
    pub place: Place,
}

/// `prompt run`.
#[derive(Debug, Args)]
pub struct PromptRun {
    /// What is started.
    #[command(flatten)]
    pub machine: PromptMachine,
    /// Print the command that starts the same machine with QEMU alone, and start nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// For which system that command is [default: this one]
    #[arg(long, value_enum, requires = "dry_run", value_name = "SYSTEM")]
    pub on: Option<HostSystem>,
}

/// What a host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HostSystem {
    /// Linux, with KVM where that works.
    Linux,
    /// macOS, with its Hypervisor framework.
    Macos,
}

/// `prompt smoke`, `diag` and `selftest`.
#[derive(Debug, Args)]
pub struct PromptTest {
    /// What is tested.
    #[command(flatten)]
    pub machine: PromptMachine,
    /// Seconds from power-on to its end on a host with KVM; more on a slow one.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// How progress is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What is measured, and what is asked of it.
#[derive(Debug, Clone, Args)]
pub struct Measuring {
    /// How many tokens are generated [default: 64; of a profile, 128]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub tokens: Option<u32>,
    /// The least tokens a second, load time included; fewer fail.
    #[arg(long, value_name = "RATE", default_value_t = 20.0, value_parser = rate)]
    pub min_tok_s: f64,
    /// Seconds that a run may take on a host with KVM; more on a slow one.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// How often each is run.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub runs: u32,
    /// Go on after a run that failed or was too slow, and let that be no failure.
    #[arg(long)]
    pub no_fail_fast: bool,
    /// Where a line for each run is added, as CSV [default of `matrix`: prompt-matrix.csv]
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,
    /// How progress is written.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// A rate that others can be held against.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.0);
    rate.ok_or_else(|| "it is a number from 0 on".to_owned())
}

/// Settings that go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// For Phi-3.5 mini: 6 threads, batches of 256, a context of 1,024, 128 tokens.
    Phi35Fast,
    /// None.
    None,
}

/// `prompt perf`.
#[derive(Debug, Args)]
pub struct PromptPerf {
    /// What is measured.
    #[command(flatten)]
    pub machine: PromptMachine,
    /// How.
    #[command(flatten)]
    pub measuring: Measuring,
    /// Settings that go together.
    #[arg(long, value_enum, default_value_t = Profile::None)]
    pub profile: Profile,
    /// Threads [default: the virtual processors]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=512))]
    pub threads: Option<u32>,
    /// Threads for the prompt [default: the same]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=512))]
    pub batch_threads: Option<u32>,
    /// More arguments for llama.cpp, with commas between them.
    #[arg(long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    pub args: String,
}

/// `prompt matrix`.
#[derive(Debug, Args)]
pub struct PromptMatrix {
    /// What is measured.
    #[command(flatten)]
    pub machine: PromptMachine,
    /// How.
    #[command(flatten)]
    pub measuring: Measuring,
    /// The combinations, a line each: `threads|batch threads|arguments`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["threads", "batch_threads", "args"])]
    pub matrix: Option<PathBuf>,
    /// Numbers of threads, with commas between them [default: the processors, two fewer, two more]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=512))]
    pub threads: Vec<u32>,
    /// Numbers of threads for the prompt [default: the same as threads]
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=512))]
    pub batch_threads: Vec<u32>,
    /// Arguments for llama.cpp, with commas between them; may be given several times.
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub args: Vec<String>,
    /// Print the combinations as a matrix file, and measure nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Measure all again, also what the results have already.
    #[arg(long)]
    pub again: bool,
}
