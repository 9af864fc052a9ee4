//! Devices of the host: each belongs to one running machine, whichever lab, user or program started it.

use config::hardware::DeviceSource;
use plan::model::NodePlan;
use system::host;

use crate::Error;

/// Fails when a running machine has one of the node's devices.
pub(crate) fn refuse_taken(node: &NodePlan) -> Result<(), Error> {
    for device in &node.devices {
        if let Some(owner) = device_owner(&device.source) {
            let device = device.source.to_string();
            return Err(Error::DeviceTaken { node: node.label.clone(), device, owner });
        }
    }
    Ok(())
}

/// The running machine that has a device, by the name that libvirt has for it.
pub fn device_owner(device: &DeviceSource) -> Option<String> {
    let pid = host::processes(|words| has(words, device)).first().copied()?;
    Some(host::guest_name(pid))
}

/// Whether an emulator with this command line has the device, as libvirt writes it and as people do.
fn has(words: &[String], device: &DeviceSource) -> bool {
    let options = match device {
        DeviceSource::Pci(address) => {
            let short = address.strip_prefix("0000:").unwrap_or(address);
            vec![
                format!("\"host\":\"{address}\""),
                format!("host={address}"),
                format!("host={short}"),
                format!("/sys/bus/pci/devices/{address}"),
            ]
        }
        DeviceSource::Mdev(uuid) => vec![format!("/{uuid}")],
    };
    let ends = |rest: &str| rest.chars().next().is_none_or(|next| !next.is_ascii_alphanumeric());
    let names = |word: &String| {
        word.contains("vfio") && options.iter().any(|option| word.split(option.as_str()).skip(1).any(ends))
    };
    words.first().is_some_and(|program| program.contains("qemu")) && words.iter().any(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(device: &str) -> Vec<String> {
        ["/usr/bin/qemu-system-x86_64", "-name", "guest=hpc-compute-01,debug-threads=on", "-device", device]
            .map(str::to_owned)
            .into()
    }

    #[test]
    fn the_owner_of_a_device_is_read_from_its_emulator() {
        let gpu = DeviceSource::Pci("0000:01:00.0".into());
        for option in [
            r#"{"driver":"vfio-pci","host":"0000:01:00.0","id":"hostdev0"}"#,
            "vfio-pci,host=0000:01:00.0,id=hostdev0",
            "vfio-pci,host=01:00.0",
            "vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:01:00.0",
        ] {
            assert!(has(&words(option), &gpu), "{option}");
        }
        for option in [
            "vfio-pci,host=01:00.01",
            "virtio-net,host=01:00.0",
            r#"{"driver":"vfio-pci","host":"0000:01:00.1"}"#,
        ] {
            assert!(!has(&words(option), &gpu), "{option}");
        }
        let uuid = "8c6a1c5e-6d0e-5d7e-9b1a-2f3c4d5e6f71";
        let part = format!(r#"{{"driver":"vfio-pci","sysfsdev":"/sys/bus/mdev/devices/{uuid}"}}"#);
        assert!(has(&words(&part), &DeviceSource::Mdev(uuid.into())));
        assert!(!has(&["sleep".to_owned(), "vfio-pci,host=01:00.0".to_owned()], &gpu));
    }
}
