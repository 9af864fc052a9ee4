//! What libvirt's XML says of a domain or a network.

use render::{MARK_NAMESPACE, Mark, Reservation};
use roxmltree::{Document, Node};

use crate::hypervisor::{Card, Shape};

/// The mark in an object's XML, if it bears one of ours.
pub(crate) fn mark(xml: &str) -> Option<Mark> {
    let document = Document::parse(xml).ok()?;
    let metadata = child(document.root_element(), "metadata")?;
    let mark = metadata.children().find(|node| node.has_tag_name((MARK_NAMESPACE, "mark")))?;
    let text = |name: &str| mark.attribute(name).map(str::to_owned);
    Some(Mark {
        lab: text("lab")?,
        cluster: text("cluster")?,
        plan: text("plan")?,
        generation: text("generation")?.parse().ok()?,
        record: mark.text().unwrap_or_default().to_owned(),
    })
}

/// What a domain is made of, as far as somebody may have changed it. What its XML does not say is nothing.
pub(crate) fn shape(xml: &str) -> Shape {
    let Ok(document) = Document::parse(xml) else { return Shape::default() };
    let root = document.root_element();
    let devices = || child(root, "devices").into_iter().flat_map(|devices| devices.children());
    let of = |tag: &'static str| devices().filter(move |node| node.has_tag_name(tag));
    let vcpu = child(root, "vcpu");
    let cpus = vcpu.and_then(|vcpu| vcpu.attribute("current").or(vcpu.text()));
    let disks = of("disk").filter_map(|disk| child(disk, "source")?.attribute("file"));
    let cards = of("interface").filter_map(|card| {
        Some(Card {
            mac: child(card, "mac")?.attribute("address")?.to_owned(),
            network: child(card, "source")?.attribute("network")?.to_owned(),
        })
    });
    let hostdevs = of("hostdev").filter_map(|device| {
        let address = child(child(device, "source")?, "address")?;
        address.attribute("uuid").map(str::to_owned).or_else(|| pci(address))
    });
    Shape {
        cpus: cpus.and_then(|text| text.trim().parse().ok()).unwrap_or(0),
        memory_mib: child(root, "memory").and_then(mib).unwrap_or(0),
        disks: disks.map(str::to_owned).collect(),
        cards: cards.collect(),
        devices: hostdevs.collect(),
    }
}

/// For whom a network's DHCP keeps addresses.
pub(crate) fn reservations(xml: &str) -> Vec<Reservation> {
    let Ok(document) = Document::parse(xml) else { return Vec::new() };
    let hosts = document.descendants().filter(|node| node.has_tag_name("host"));
    let reservations = hosts.filter_map(|host| {
        Some(Reservation {
            mac: host.attribute("mac")?.to_owned(),
            name: host.attribute("name").unwrap_or_default().to_owned(),
            address: host.attribute("ip")?.parse().ok()?,
        })
    });
    reservations.collect()
}

fn child<'a, 'i>(node: Node<'a, 'i>, tag: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.has_tag_name(tag))
}

/// `0000:01:00.0` of an address whose parts are hexadecimal numbers.
fn pci(address: Node<'_, '_>) -> Option<String> {
    let part = |name: &str| u32::from_str_radix(address.attribute(name)?.strip_prefix("0x")?, 16).ok();
    Some(format!(
        "{:04x}:{:02x}:{:02x}.{:x}",
        part("domain")?,
        part("bus")?,
        part("slot")?,
        part("function")?
    ))
}

/// An amount of memory, MiB. Libvirt itself always writes KiB.
fn mib(memory: Node<'_, '_>) -> Option<u64> {
    let amount: u64 = memory.text()?.trim().parse().ok()?;
    match memory.attribute("unit").unwrap_or("KiB") {
        "KiB" => Some(amount / 1024),
        "MiB" => Some(amount),
        "GiB" => Some(amount * 1024),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_and_a_stranger_has_none() {
        let xml = format!(
            r#"<domain><metadata><a:mark xmlns:a="{MARK_NAMESPACE}" lab="l" cluster="c" plan="p" generation="3">{{&quot;a&quot;:1}}</a:mark>
            </metadata></domain>"#
        );
        let mark = mark(&xml).unwrap();
        assert_eq!((mark.lab.as_str(), mark.generation, mark.record.as_str()), ("l", 3, r#"{"a":1}"#));
        assert_eq!(super::mark("<domain><metadata><mark lab='l'/></metadata></domain>"), None);
    }

    #[test]
    fn the_shape_is_read_as_libvirt_writes_it() {
        let xml = r#"<domain><memory unit="KiB">786432</memory><vcpu placement="static" current="2">4</vcpu><devices>
            <disk type="file" device="disk"><source file="/labs/x/disks/a.qcow2" index="1"/></disk>
            <disk type="file" device="cdrom"/>
            <interface type="network"><mac address="52:54:00:00:00:01"/><source network="hpc-lan" bridge="b"/></interface>
            <hostdev><source><address domain="0x0000" bus="0x0a" slot="0x1f" function="0x1"/></source></hostdev>
            <hostdev><source><address uuid="8c6a1c5e"/></source></hostdev></devices></domain>"#;
        let expected = Shape {
            cpus: 2,
            memory_mib: 768,
            disks: vec!["/labs/x/disks/a.qcow2".into()],
            cards: vec![Card { mac: "52:54:00:00:00:01".into(), network: "hpc-lan".into() }],
            devices: vec!["0000:0a:1f.1".into(), "8c6a1c5e".into()],
        };
        assert_eq!(shape(xml), expected);
        assert_eq!(shape("no XML"), Shape::default());
    }

    #[test]
    fn reservations_are_read() {
        let xml = r#"<network><ip><dhcp><host mac="52:54:00:00:00:01" name="c1" ip="10.0.0.5"/></dhcp></ip></network>"#;
        let [found] = &reservations(xml)[..] else { panic!() };
        assert_eq!((found.name.as_str(), found.address.to_string().as_str()), ("c1", "10.0.0.5"));
    }
}
