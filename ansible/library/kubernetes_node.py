"""What a kubelet wants of the machine, now and after the next boot, in one go."""

import os
import socket
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: kubernetes_node
short_description: Makes a machine fit for a kubelet
description:
  - Names the host, loads kernel modules, sets kernel parameters, ends swap, and corrects a clock that is far off.
  - All but the clock holds after the next boot, too, whatever units the image has masked.
  - In one go, because each module call costs an emulated node a second, and five where mitogen cannot be used. What it
    changes is told in RV(changes).
options:
  hostname:
    description: The host's name.
    type: str
    required: true
  modules:
    description: Kernel modules to load.
    type: list
    elements: str
    required: true
  sysctls:
    description: Kernel parameters by name.
    type: dict
    required: true
  now:
    description: The time on the control side, in seconds since 1970, UTC.
    type: float
    required: true
author:
  - the authors of ai-how (@ai-how)
"""

EXAMPLES = """
- name: Make the node fit
  kubernetes_node:
    hostname: worker-01
    modules: [overlay, br_netfilter]
    sysctls: {net.ipv4.ip_forward: 1}
    now: "{{ now(utc=true).timestamp() }}"
"""

RETURN = """
changes:
  description: What was done, or would be.
  type: list
  returned: always
"""

HOSTNAME = "/etc/hostname"
MODULES = "/etc/modules-load.d/kubernetes.conf"
SYSCTLS = "/etc/sysctl.d/90-kubernetes.conf"
FSTAB = "/etc/fstab"
UNITS = "/etc/systemd/system"
LOADER = "systemd-modules-load.service"
# A task takes some seconds to get to a slow node.
CLOCK_TOLERANCE = 60


def read(path):
    """What is in a file; nothing when there is none."""
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)


def is_swap(line):
    fields = line.split()
    return len(fields) > 2 and not line.lstrip().startswith("#") and fields[2] == "swap"


class Node:
    """The machine, and what was done to it."""

    def __init__(self, module):
        self.module = module
        self.changes = []
        self.units_changed = False

    def change(self, what, *work):
        """Does it unless this is a check."""
        self.changes.append(what)
        if not self.module.check_mode:
            for step, *arguments in work:
                step(*arguments)

    def run(self, *command):
        code, said, complaint = self.module.run_command(list(command))
        if code != 0:
            self.module.fail_json(msg=f"{' '.join(command)} failed: {(complaint or said).strip()}")

    def keep(self, path, text):
        """Makes this the content of a file."""
        if read(path) != text:
            self.change(path, (write, path, text))

    def name(self, hostname):
        self.keep(HOSTNAME, hostname + "\n")
        if socket.gethostname() != hostname:
            self.change(f"hostname {hostname}", (socket.sethostname, hostname))

    def load(self, modules):
        self.keep(MODULES, "".join(name + "\n" for name in modules))
        path = os.path.join(UNITS, LOADER)
        if os.path.islink(path) and os.readlink(path) == "/dev/null":
            self.change(f"unit {LOADER} as it was", (os.unlink, path))
            self.units_changed = True
        built_in = read(f"/lib/modules/{os.uname().release}/modules.builtin")
        for name in modules:
            if not os.path.isdir(f"/sys/module/{name}") and f"/{name}.ko" not in built_in:
                self.change(f"module {name}", (self.run, "modprobe", name))

    def set(self, sysctls):
        self.keep(SYSCTLS, "".join(f"{name} = {value}\n" for name, value in sorted(sysctls.items())))
        for name, value in sorted(sysctls.items()):
            path = "/proc/sys/" + name.replace(".", "/")
            # Before its module is loaded, as in a check, a parameter is not there.
            if read(path).split() != str(value).split():
                self.change(f"sysctl {name}={value}", (self.run, "sysctl", "--quiet", "--write", f"{name}={value}"))

    def end_swap(self):
        if len(read("/proc/swaps").splitlines()) > 1:
            self.change("swap off", (self.run, "swapoff", "--all"))
        self.keep(FSTAB, "".join(line for line in read(FSTAB).splitlines(True) if not is_swap(line)))
        # Partitions of swap are found without being named anywhere.
        path = os.path.join(UNITS, "swap.target")
        if not os.path.islink(path) or os.readlink(path) != "/dev/null":
            self.change("unit swap.target masked", (self.run, "ln", "--symbolic", "--force", "/dev/null", path))
            self.units_changed = True

    def tell_systemd(self):
        if self.units_changed and not self.module.check_mode:
            self.run("systemctl", "daemon-reload")

    def correct(self, now):
        off = time.time() - now
        if abs(off) > CLOCK_TOLERANCE:
            self.change(f"clock, which is {off:.0f} s off", (time.clock_settime, time.CLOCK_REALTIME, now))


def main():
    module = AnsibleModule(
        argument_spec={
            "hostname": {"type": "str", "required": True},
            "modules": {"type": "list", "elements": "str", "required": True},
            "sysctls": {"type": "dict", "required": True},
            "now": {"type": "float", "required": True},
        },
        supports_check_mode=True,
    )
    node = Node(module)
    node.name(module.params["hostname"])
    node.load(module.params["modules"])
    node.set(module.params["sysctls"])
    node.end_swap()
    node.tell_systemd()
    node.correct(module.params["now"])
    module.exit_json(changed=bool(node.changes), changes=node.changes)


if __name__ == "__main__":
    main()
