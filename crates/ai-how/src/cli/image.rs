//! The arguments of `image`.

use std::path::PathBuf;

use clap::{ArgGroup, Subcommand, ValueEnum};

use super::{DEFAULT_FILE, Format, config_file};

/// An instruction set, as config files name it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Arch {
    /// 64-bit x86.
    #[default]
    #[value(name = "x86_64")]
    X86_64,
    /// 64-bit Arm.
    #[value(name = "aarch64")]
    Aarch64,
}

/// `image` commands.
#[derive(Debug, Subcommand)]
pub enum Image {
    /// Build an image if it is not there
    ///
    /// Example: ai-how image build --arch aarch64
    Build {
        /// Its name.
        #[arg(default_value = "debian-13")]
        name: String,
        /// The instruction set of the nodes that boot it.
        #[arg(long, value_enum, default_value_t)]
        arch: Arch,
        /// The package mirror [default: that of the host's apt]
        #[arg(long, value_name = "URL", env = "AI_HOW_MIRROR")]
        mirror: Option<String>,
        /// How the result is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Write what Packer builds images for shipping from: those that a config file calls for
    ///
    /// Example: ai-how image packer config/lab.yaml --output packer --build hpc-compute
    Packer {
        /// The config file.
        #[arg(default_value = DEFAULT_FILE, value_parser = config_file())]
        file: PathBuf,
        /// The folder for templates and images; made if there is none.
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// Write the templates of all images.
        #[arg(long)]
        all: bool,
        /// Build this one, too; may be given several times.
        #[arg(long, value_name = "NAME")]
        build: Vec<String>,
        /// How the result is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// List images and templates
    ///
    /// Example: ai-how image list --format json
    List {
        /// How the list is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Remove an image with its templates, a template, or all templates
    ///
    /// Example: ai-how image rm --templates
    #[command(group = ArgGroup::new("what").args(["name", "templates"]).required(true))]
    Rm {
        /// An image's name, its folder's name for one version of it, or a template's id.
        name: Option<String>,
        /// Remove every template and no image.
        #[arg(long)]
        templates: bool,
        /// How the result is written.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}
