//! Why a command failed, and the status that goes with it.

use std::{error::Error, fmt::Write};

use crate::exit;

/// A failure that the user is told once, at the end.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// With a status of its own.
    pub(crate) fn new(code: u8, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code, source: Some(source.into()) }
    }

    /// The host lacks something.
    pub(crate) fn environment(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(exit::ENVIRONMENT, source)
    }

    /// Nothing that the user was not told already.
    pub(crate) fn told(code: u8) -> Self {
        Self { code, source: None }
    }

    /// The status to end with.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// Whether the user stopped it.
    pub(crate) fn is_interruption(&self) -> bool {
        self.code == exit::INTERRUPTED
    }

    /// What the user is told: the error and its causes; empty when everything was said.
    pub(crate) fn message(&self) -> String {
        let Some(error) = &self.source else { return String::new() };
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // Writing to a string cannot fail, so the result is not looked at.
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        text
    }
}

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        use engine::Error as E;
        let code = match &error {
            _ if error.is_interruption() => exit::INTERRUPTED,
            E::Unsupported { .. } => exit::CONFIG,
            E::Busy { .. }
            | E::NotRunning { .. }
            | E::Plan { .. }
            | E::WouldLose { .. }
            | E::HasDisk { .. }
            | E::OtherPlan { .. }
            | E::NotReady { .. }
            | E::Damaged { .. }
            | E::SnapshotExists { .. }
            | E::ForkExists { .. }
            | E::OtherBase { .. }
            | E::OtherEmulator { .. }
            | E::NotPrivate
            | E::Agent(_)
            | E::Render(_) => exit::FAILED,
            E::NoSnapshot { .. } | E::SnapshotName { .. } => exit::USAGE,
            E::Model(
                appliance::ModelError::Unreadable { .. }
                | appliance::ModelError::NoFile { .. }
                | appliance::ModelError::Model { .. },
            ) => exit::CONFIG,
            E::Image(image::Error::Unknown { .. } | image::Error::Unusable { .. }) => exit::CONFIG,
            _ => exit::ENVIRONMENT,
        };
        Self::new(code, error)
    }
}

impl From<image::Error> for Failure {
    fn from(error: image::Error) -> Self {
        let code = match &error {
            image::Error::Interrupted => exit::INTERRUPTED,
            image::Error::Unknown { .. } => exit::USAGE,
            image::Error::InUse { .. } | image::Error::Packer { .. } => exit::FAILED,
            _ => exit::ENVIRONMENT,
        };
        Self::new(code, error)
    }
}

impl From<lab::accelerator::Error> for Failure {
    fn from(error: lab::accelerator::Error) -> Self {
        Self::environment(error)
    }
}

impl From<system::file::Error> for Failure {
    fn from(error: system::file::Error) -> Self {
        Self::environment(error)
    }
}

impl From<guest::SshError> for Failure {
    fn from(error: guest::SshError) -> Self {
        Self::new(exit::FAILED, error)
    }
}
