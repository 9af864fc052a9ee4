"""What a kubelet wants of the machine that runs now, in one go."""

import os
import socket
import time

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: kubernetes_node
short_description: Makes the running machine fit for a kubelet
description:
  - Names the host, loads kernel modules, sets kernel parameters, ends swap, and corrects a clock that is far off.
  - Swap stays off and modules are loaded after the next boot, whatever units an image has masked. Names of modules and
    parameters are written down by the role.
  - What it changes is told in RV(changes). On an emulated node each module call costs about a second.
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

UNITS = "/etc/systemd/system"
# A task takes some seconds to get to a slow node.
CLOCK_TOLERANCE = 60


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


class Node:
    """The machine, and what was done to it."""

    def __init__(self, module):
        self.module = module
        self.changes = []

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

    def name(self, hostname):
        if socket.gethostname() != hostname:
            self.change(f"hostname {hostname}", (socket.sethostname, hostname))

    def load(self, modules):
        built_in = f"/lib/modules/{os.uname().release}/modules.builtin"
        built_in = read(built_in) if os.path.exists(built_in) else ""
        for name in modules:
            if not os.path.isdir(f"/sys/module/{name}") and f"/{name}.ko" not in built_in:
                self.change(f"module {name}", (self.run, "modprobe", name))

    def set(self, sysctls):
        for name, value in sorted(sysctls.items()):
            path = "/proc/sys/" + name.replace(".", "/")
            # Before its module is loaded, as in a check, a parameter is not there.
            if not os.path.exists(path) or read(path).split() != str(value).split():
                self.change(f"sysctl {name}={value}", (self.run, "sysctl", "--quiet", "--write", f"{name}={value}"))

    def end_swap(self):
        if len(read("/proc/swaps").splitlines()) > 1:
            self.change("swap off", (self.run, "swapoff", "--all"))
        self.link("swap.target", "/dev/null")

    def load_at_boot(self):
        unit = "systemd-modules-load.service"
        path = os.path.join(UNITS, unit)
        if os.path.islink(path) and os.readlink(path) == "/dev/null":
            self.change(f"unit {unit} as it was", (os.unlink, path))

    def link(self, unit, target):
        path = os.path.join(UNITS, unit)
        if not os.path.islink(path) or os.readlink(path) != target:
            self.change(f"unit {unit} to {target}", (self.run, "ln", "--symbolic", "--force", target, path))

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
    node.load_at_boot()
    node.correct(module.params["now"])
    module.exit_json(changed=bool(node.changes), changes=node.changes)


if __name__ == "__main__":
    main()
