//! Templates for Packer: each builds one image for shipping, on top of an image of ours and with our roles.
//!
//! ```text
//! DIR/id_ed25519   the build's own key       DIR/ansible/   the playbook        DIR/seal, DIR/finish
//! DIR/NAME/image.pkr.hcl ──packer build──> DIR/NAME.qcow2, NAME.vmlinuz, NAME.initrd, NAME.json
//! ```

use config::model::Arch;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value, context};

use crate::{Accelerator, Error, xml::boot_line};

/// An image that Packer builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackerImage {
    /// Its name, and that of its files.
    pub name: &'static str,
    /// What the playbook makes of it.
    pub role: &'static str,
    /// Of its disk.
    pub disk_gib: u64,
    /// While it is built.
    pub memory_mib: u64,
    /// While it is built.
    pub cpus: u32,
}

/// All of them, with the names and sizes of version 1.0.
pub const PACKER_IMAGES: [PackerImage; 4] = [
    PackerImage { name: "hpc-controller", role: "controller", disk_gib: 40, memory_mib: 2048, cpus: 2 },
    PackerImage { name: "hpc-compute", role: "compute", disk_gib: 40, memory_mib: 2048, cpus: 2 },
    PackerImage { name: "cloud-base", role: "kubernetes", disk_gib: 20, memory_mib: 2048, cpus: 2 },
    PackerImage { name: "cloud-gpu-worker", role: "kubernetes_gpu", disk_gib: 30, memory_mib: 4096, cpus: 4 },
];

/// What is the same for all images.
#[derive(Debug, Clone)]
pub struct PackerHost {
    /// How guests run here.
    pub accelerator: Accelerator,
    /// The folder of the image that all start from.
    pub base: String,
    /// `ansible-playbook`.
    pub ansible_playbook: String,
    /// The folder of Mitogen's strategy plugins, if it is there.
    pub mitogen: Option<String>,
    /// Whether Packer takes its builders from plugins, which a template then names. Up to 1.6 it has them inside.
    pub plugins: bool,
    /// What no image keeps; a path that ends with `/` means everything in that folder. No path has a space.
    pub forgotten: Vec<&'static str>,
}

/// The last that runs in the machine: it removes [`PackerHost::forgotten`].
pub const SEAL: &str = include_str!("../templates/seal");

/// What makes a file for nodes of what Packer built. Its usage is in it.
pub const FINISH: &str = include_str!("../templates/finish");

/// The template of an image.
///
/// # Errors
/// See [`Error`].
pub fn packer_template(image: &PackerImage, host: &PackerHost) -> Result<String, Error> {
    let context = context! {
        accelerator => host.accelerator.to_string(),
        base => &host.base,
        ansible_playbook => &host.ansible_playbook,
        mitogen => host.mitogen.as_deref().unwrap_or_default(),
        plugins => host.plugins,
        name => image.name,
        role => image.role,
        disk_gib => image.disk_gib,
        memory_mib => image.memory_mib,
        cpus => image.cpus,
        forgotten => format!("FORGOTTEN={}", host.forgotten.join(" ")),
        // These stand inside of strings already.
        plain_name => Value::from_safe_string(image.name.to_owned()),
        command_line => Value::from_safe_string(boot_line(Arch::X86_64)),
    };
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(|out, _, value| match value.as_str() {
        Some(text) if value.is_safe() => Ok(out.write_str(text)?),
        Some(text) => Ok(out.write_str(&quote(text))?),
        None if value.is_undefined() => Err(ErrorKind::UndefinedError.into()),
        None => Ok(write!(out, "{value}")?),
    });
    environment
        .render_named_str("image.pkr.hcl", include_str!("../templates/image.pkr.hcl"), context)
        .map(|text| text + "\n")
        .map_err(|source| Error { object: format!("the image {}", image.name), source })
}

/// A string as HCL reads it, which would replace expressions in it.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace("${", "$${").replace("%{", "%%{")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> PackerHost {
        PackerHost {
            accelerator: Accelerator::Tcg,
            base: "/cache/images/debian-13-0123".into(),
            ansible_playbook: "/usr/bin/ansible-playbook".into(),
            mitogen: None,
            plugins: false,
            forgotten: vec!["/root/.ssh/", "/etc/munge/munge.key"],
        }
    }

    #[test]
    fn template_of_a_compute_node() {
        insta::assert_snapshot!(packer_template(&PACKER_IMAGES[1], &host()).unwrap());
    }

    #[test]
    fn plugins_are_named_where_packer_takes_them() {
        for image in &PACKER_IMAGES {
            let [old, new] = [false, true].map(|plugins| {
                packer_template(image, &PackerHost { plugins, ..host() })
                    .unwrap()
                    .contains("required_plugins")
            });
            assert!(!old && new, "{}", image.name);
        }
    }

    #[test]
    fn nothing_in_a_path_is_an_expression() {
        let host = PackerHost { base: r#"/a"b/${var.x}/%{if}"#.into(), ..host() };
        let text = packer_template(&PACKER_IMAGES[0], &host).unwrap();
        assert!(text.contains(r#""/a\"b/$${var.x}/%%{if}""#), "{text}");
    }
}
