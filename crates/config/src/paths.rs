//! Files and directories of the host that a document names. Whether they are there is looked up by the caller, since
//! nothing here touches a disk.

use crate::Loaded;
use crate::check::is_fit;
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::draft::{Draft, shown};
use crate::model::Image;

/// What a path of the host is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathKind {
    /// An image: a file.
    Image,
    /// What an appliance's prompt loads: a file.
    Model,
    /// What a node mounts: a directory.
    Directory,
}

/// A path of the host that a document names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPath {
    /// What it is to be.
    pub kind: PathKind,
    /// As the document says it, expressions of version 1.0 replaced. Those of images and models may be relative.
    pub path: String,
    /// Where it says it.
    pub span: Span,
}

impl Loaded {
    /// Warns of each path that is not there. They stay warnings under `strict`: the file may be meant for another host.
    pub fn look(&mut self, is_there: impl Fn(&HostPath) -> bool) {
        self.diagnostics.extend(self.paths.iter().filter(|path| !is_there(path)).map(warning));
        self.arrange();
    }
}

fn warning(HostPath { kind, path, span }: &HostPath) -> Diagnostic {
    let path = shown(path);
    match kind {
        PathKind::Image => Diagnostic::warning(
            Code::MissingImage,
            *span,
            format!("this host has no image file `{path}`"),
        )
        .cause(
            "a relative path is looked up from the file's own folder, in version 1.0 from the top of its repository",
        )
        .help("correct the path, or put the image there before the lab is started"),
        PathKind::Model => {
            Diagnostic::warning(Code::MissingModel, *span, format!("this host has no model file `{path}`"))
                .cause("a relative path is looked up from the file's own folder, and a prompt without its model does not start")
                .help("correct the path, or put the model there before the lab is started")
        }
        PathKind::Directory => {
            Diagnostic::warning(Code::MissingDirectory, *span, format!("this host has no directory `{path}`"))
                .cause("a node with this mount does not start")
                .help("correct the path, or make the directory before the lab is started")
        }
    }
}

/// Each path once for each place that says it.
pub(crate) fn of(draft: &Draft) -> Vec<HostPath> {
    let mut paths: Vec<HostPath> = Vec::new();
    for node in draft.clusters.iter().flat_map(|cluster| &cluster.nodes) {
        let image = match &node.image.value {
            Image::File(path) => Some((PathKind::Image, path)),
            Image::Appliance(Some(path)) => Some((PathKind::Model, path)),
            _ => None,
        };
        let image = image.map(|(kind, path)| HostPath { kind, path: path.clone(), span: node.image.span });
        let mounts = node.mounts.iter().filter(|mount| is_fit(&mount.value)).map(|mount| HostPath {
            kind: PathKind::Directory,
            path: mount.value.host_path.clone(),
            span: mount.span,
        });
        paths.extend(image.into_iter().chain(mounts));
    }
    paths.sort_by_key(|path| path.span.start);
    paths.dedup();
    paths
}
