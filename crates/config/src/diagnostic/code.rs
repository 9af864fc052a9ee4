//! The list of diagnostic codes: stable names, one line each on what they mean.

use std::fmt;

/// Defines [`Code`], its names and its summaries from one table.
macro_rules! codes {
    ($($variant:ident $name:literal $summary:literal,)*) => {
        /// Which kind of finding a diagnostic is. Names never change their meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $summary] $variant,)*
        }

        impl Code {
            /// Every code, in the order in which a document is looked at.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in kebab case, as `duplicate-address`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub fn summary(self) -> &'static str {
                match self {
                    $(Self::$variant => $summary,)*
                }
            }
        }
    };
}

codes! {
    TooLarge "too-large" "The file is larger than a config can sensibly be",
    NotUtf8 "not-utf8" "The file is not UTF-8 text",
    ControlCharacter "control-character" "The file holds a character that YAML does not allow",
    YamlSyntax "yaml-syntax" "The file is not YAML",
    EmptyDocument "empty-document" "The file holds no document",
    SeveralDocuments "several-documents" "The file holds more than one YAML document",
    TooDeep "too-deep" "The document is nested too deeply",
    TooManyValues "too-many-values" "The document, with its aliases expanded, is too big",
    CyclicAlias "cyclic-alias" "An alias refers to a value that contains it",
    ComplexKey "complex-key" "A key is a list or a mapping",
    UnsupportedTag "unsupported-tag" "A tag asks for a type that configs do not have",
    BadMerge "bad-merge" "A merge key does not refer to a mapping",
    DuplicateKey "duplicate-key" "A key appears twice in one mapping",

    MissingVersion "missing-version" "The document does not say which version it is",
    UnquotedVersion "unquoted-version" "The version is a number, not text",
    UnknownVersion "unknown-version" "The version is not one that is understood",

    BadExpansion "bad-expansion" "A `${}` expression is malformed",
    UnboundVariable "unbound-variable" "A `${}` expression uses a variable that is not set",

    WrongType "wrong-type" "A value has the wrong type",
    MissingKey "missing-key" "A required key is missing",
    UnknownKey "unknown-key" "A key is not one that is understood",
    BadValue "bad-value" "A value is not one of the possible ones",
    BadFormat "bad-format" "A text does not have the required form",
    UnfitKey "unfit-key" "A key is not for a cluster of this kind",
    OutOfRange "out-of-range" "A number, length or count is outside its limits",

    DuplicateCluster "duplicate-cluster" "Two clusters have the same name",
    DuplicateNode "duplicate-node" "Two nodes of a cluster have the same name",
    DuplicateDomain "duplicate-domain" "Two nodes would get the same libvirt domain name",
    ReservedName "reserved-name" "A name has a meaning of its own",
    NameTooLong "name-too-long" "A name that is put together from others becomes too long",
    UnfitName "unfit-name" "A name cannot be used as a host name",
    TooManyNodes "too-many-nodes" "More nodes are asked for than a lab can have",

    InvalidSubnet "invalid-subnet" "A subnet is not an IPv4 network",
    HostBits "host-bits" "A subnet has bits set behind its prefix",
    SubnetTooSmall "subnet-too-small" "A subnet has no room for its nodes",
    OverlappingSubnets "overlapping-subnets" "Two networks share addresses",
    HostSubnet "host-subnet" "A network shares addresses with one of the host",
    DuplicateBridge "duplicate-bridge" "Two networks use the same bridge",
    UnfitBridge "unfit-bridge" "A bridge name is not one that Linux accepts",
    UnknownNetwork "unknown-network" "A node refers to a network that the cluster does not have",
    RepeatedNetwork "repeated-network" "A node is put on the same network twice",
    InvalidAddress "invalid-address" "A value is not an IPv4 address",
    AddressTwice "address-twice" "A node is given two addresses on one network",
    AddressOutsideSubnet "address-outside-subnet" "An address is not in its network's subnet",
    ReservedAddress "reserved-address" "An address belongs to the gateway or to the network itself",
    ReversedRange "reversed-range" "The last address of a range comes before the first one",
    UnusedSetting "unused-setting" "A setting has no effect",
    DuplicateAddress "duplicate-address" "Two nodes have the same address",

    DuplicatePartition "duplicate-partition" "Two partitions have the same name",
    UnknownPartition "unknown-partition" "The default partition is not one of the partitions",
    SeveralDefaults "several-defaults" "More than one partition is the default",
    UnknownNode "unknown-node" "A name is not that of a node that is there for it",
    RepeatedNode "repeated-node" "A partition names a node twice",
    IdleNode "idle-node" "A compute node is in no partition",
    BadTime "bad-time" "A text is not a SLURM time",

    UnfitTopology "unfit-topology" "Virtual CPUs cannot be arranged as the file asks",
    UnknownImage "unknown-image" "A node is to boot an image that nobody knows how to build",
    UnfitMount "unfit-mount" "A directory of the host cannot be mounted as the file asks",
    RepeatedMount "repeated-mount" "Two directories of a node have the same tag or the same place",
    NoDevices "no-devices" "Devices are to be given to a node, and none is named",
    DuplicateGpu "duplicate-gpu" "Two nodes are given the same GPU",
    DuplicateDevice "duplicate-device" "Two nodes are given the same device",
    RepeatedDevice "repeated-device" "A node is given the same device twice",
    HostCpus "host-cpus" "Nodes are to have more processors for themselves than the host has",
    HostMemory "host-memory" "The nodes need more memory than the host has",
    HostDisk "host-disk" "The nodes may need more disk space than the host has free",
    MissingImage "missing-image" "An image file is not on the host",
    MissingModel "missing-model" "The file of an appliance's model is not on the host",
    MissingDirectory "missing-directory" "A directory that a node mounts is not on the host",

    MissingDevice "missing-device" "The host does not have a device that a node wants",
    OtherDevice "other-device" "A device of the host is not what the file says it is",
    DeviceDriver "device-driver" "A device is not bound to VFIO",
    NoIommuGroup "no-iommu-group" "A device is in no IOMMU group",
    HeldGroup "held-group" "The host uses another device of an IOMMU group",
    SplitGroup "split-group" "Two nodes want different devices of one IOMMU group",
    SplitDevice "split-device" "A device is wanted whole, and a part of it as well",
    HostScreen "host-screen" "The host shows its screen on a device that a node wants",
    ForeignArch "foreign-arch" "A node with devices has another architecture than the host",
    HostKvm "host-kvm" "Nodes want devices, and the host has no KVM",
    HostVfio "host-vfio" "Nodes want devices, and the kernel of the host lacks a module of VFIO",
    HostIommu "host-iommu" "Nodes want devices, and the kernel of the host uses no IOMMU",
}

impl Code {
    /// Whether it depends on the host rather than on the document: such findings stay warnings under `strict`.
    #[must_use]
    pub fn is_about_host(self) -> bool {
        matches!(
            self,
            Self::HostCpus
                | Self::HostMemory
                | Self::HostDisk
                | Self::MissingImage
                | Self::MissingModel
                | Self::MissingDirectory
        ) || self.is_about_devices()
    }

    /// Whether it tells how the host and the devices that nodes want go together. Loading a document finds none of these:
    /// they come from a look at the host.
    #[must_use]
    pub fn is_about_devices(self) -> bool {
        matches!(
            self,
            Self::MissingDevice
                | Self::OtherDevice
                | Self::DeviceDriver
                | Self::NoIommuGroup
                | Self::HeldGroup
                | Self::SplitGroup
                | Self::SplitDevice
                | Self::HostScreen
                | Self::ForeignArch
                | Self::HostKvm
                | Self::HostVfio
                | Self::HostIommu
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Code;

    #[test]
    fn names_are_distinct_and_in_kebab_case() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for name in names {
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
        }
    }

    #[test]
    fn summaries_are_sentences_without_a_full_stop() {
        for code in Code::ALL {
            assert!(code.summary().starts_with(|c: char| c.is_uppercase()), "{code}");
            assert!(!code.summary().ends_with('.'), "{code}");
        }
    }
}
