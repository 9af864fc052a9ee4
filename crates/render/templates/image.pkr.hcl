# Made by ai-how; the next `ai-how image packer` writes it anew. docs/packer.md tells how it is used.
{%- if plugins %}

packer {
  required_plugins {
    ansible = {
      source  = "github.com/hashicorp/ansible"
      version = ">= 1.1.0"
    }
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = ">= 1.1.0"
    }
  }
}
{%- endif %}

variable "accelerator" {
  type        = string
  default     = {{ accelerator }}
  description = "What runs the guest's instructions: kvm or tcg."
}

variable "cpus" {
  type    = number
  default = {{ cpus }}
}

variable "memory_mib" {
  type    = number
  default = {{ memory_mib }}
}

variable "disk_gib" {
  type        = number
  default     = {{ disk_gib }}
  description = "The size of the disk. Nodes that boot the image need one at least as large."
}

variable "base" {
  type        = string
  default     = {{ base }}
  description = "The folder of the image to start from, with disk.qcow2, vmlinuz and initrd."
}

variable "ansible_playbook" {
  type    = string
  default = {{ ansible_playbook }}
}

variable "mitogen" {
  type        = string
  default     = {{ mitogen }}
  description = "The folder of Mitogen's strategy plugins; empty without."
}

variable "nvidia_driver" {
  type        = bool
  default     = false
  description = "Install NVIDIA's driver from the package sources of the image. It is the only thing that needs the network."
}

locals {
  folder         = "${path.root}/.."
  authorized_key = base64encode(file("${abspath(path.root)}/../id_ed25519.pub"))
  # The guest reaches nothing but this process, unless something is to be downloaded.
  restrict = var.nvidia_driver ? "off" : "on"
}

source "qemu" "image" {
  accelerator      = var.accelerator
  machine_type     = "q35"
  cpus             = var.cpus
  memory           = var.memory_mib
  disk_image       = true
  iso_url          = "${var.base}/disk.qcow2"
  iso_checksum     = "none"
  format           = "qcow2"
  disk_size        = "${var.disk_gib}G"
  disk_interface   = "virtio"
  disk_cache       = "unsafe"
  disk_discard     = "unmap"
  net_device       = "virtio-net"
  skip_compaction  = true
  headless         = true
  disable_vnc      = true
  output_directory = "${path.root}/build"
  vm_name          = "disk.qcow2"
  qemuargs = [
    ["-cpu", "max"],
    ["-display", "none"],
    ["-serial", "file:${path.root}/console.log"],
    ["-kernel", "${var.base}/vmlinuz"],
    ["-initrd", "${var.base}/initrd"],
    ["-append", "{{ command_line }} systemd.set_credential_binary=ssh.authorized_keys.root:${local.authorized_key}"],
{% raw %}    ["-netdev", "user,id=user.0,restrict=${local.restrict},hostfwd=tcp:127.0.0.1:{{ .SSHHostPort }}-:22"],
{% endraw %}  ]
  ssh_username         = "root"
  ssh_private_key_file = "${local.folder}/id_ed25519"
  ssh_timeout          = "10m"
  shutdown_command     = "systemctl --no-block poweroff"
  shutdown_timeout     = "5m"
}

build {
  sources = ["source.qemu.image"]

  provisioner "ansible" {
    command       = var.ansible_playbook
    playbook_file = "${local.folder}/ansible/image.yaml"
    user          = "root"
    use_proxy     = false
    ansible_env_vars = [
      "LC_ALL=C.UTF-8",
      "PYTHONDONTWRITEBYTECODE=1",
      "ANSIBLE_CONFIG=${local.folder}/ansible/ansible.cfg",
      "ANSIBLE_HOME=${path.root}/ansible-home",
      "ANSIBLE_NOCOLOR=1",
      "ANSIBLE_TIMEOUT=60",
      "ANSIBLE_STRATEGY_PLUGINS=${var.mitogen}",
      "ANSIBLE_STRATEGY=${var.mitogen == "" ? "linear" : "mitogen_linear"}",
    ]
    extra_arguments = [
      # The guest was made a moment ago, and only this process reaches it.
      "--ssh-common-args", "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
      "--extra-vars", jsonencode({
        image_name    = {{ name }}
        image_role    = {{ role }}
        nvidia_driver = var.nvidia_driver
      }),
    ]
  }

  provisioner "shell" {
    script           = "${local.folder}/seal"
    environment_vars = [{{ forgotten }}]
  }

  post-processors {
    post-processor "shell-local" {
      environment_vars = ["ROOT=${path.root}", "BASE=${var.base}"]
      inline           = ["bash \"$ROOT/../finish\" \"$ROOT/build/disk.qcow2\" \"$BASE\" \"$ROOT/../{{ plain_name }}\""]
    }

    post-processor "artifice" {
      files = [
        "${local.folder}/{{ plain_name }}.qcow2",
        "${local.folder}/{{ plain_name }}.vmlinuz",
        "${local.folder}/{{ plain_name }}.initrd",
      ]
    }

    post-processor "manifest" {
      output     = "${local.folder}/{{ plain_name }}.json"
      strip_path = true
      custom_data = {
        image = {{ name }}
        base  = basename(var.base)
      }
    }
  }
}
