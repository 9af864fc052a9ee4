//! `ai-how prompt`: the appliance by itself. Each machine is a lab of one node that lives as long as its command.

mod bench;
mod boot;
mod build;
mod dry_run;
mod machine;
mod matrix;
mod model;
mod modes;
mod perf;
mod provenance;
mod results;
mod run;

use system::cancel::Cancel;

use self::modes::Mode;
use crate::{cli::Prompt, failure::Failure, settings::Settings};

pub(crate) fn run(command: &Prompt, settings: &Settings, cancel: &Cancel) -> Result<u8, Failure> {
    match command {
        Prompt::Build { arch, suite, mirror, format } => {
            build::run(*arch, suite.clone(), mirror.clone(), *format, settings, cancel)
        }
        Prompt::ModelDisk { model, output, extra_mib, format } => {
            model::disk(model, output.as_deref(), *extra_mib, *format, settings, cancel)
        }
        Prompt::TinyModel { output, seed, format } => model::tiny(output, *seed, *format),
        Prompt::Run(arguments) => run::run(arguments, settings, cancel),
        Prompt::Smoke(arguments) => modes::run(Mode::Smoke, arguments, settings, cancel),
        Prompt::Diag(arguments) => modes::run(Mode::Diag, arguments, settings, cancel),
        Prompt::Selftest(arguments) => modes::run(Mode::Selftest, arguments, settings, cancel),
        Prompt::Perf(arguments) => perf::run(arguments, settings, cancel),
        Prompt::Matrix(arguments) => matrix::run(arguments, settings, cancel),
    }
}
