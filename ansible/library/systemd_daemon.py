"""A daemon that runs now and after the next boot, with as little work on the node as that takes."""

import os

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: systemd_daemon
short_description: Runs a daemon now and at boot
description:
  - Does what C(ansible.builtin.systemd_service) does with C(enabled=true), for units wanted by C(multi-user.target).
  - On an emulated node that module takes five seconds to import every collector of facts, and enabling a unit that has
    a SysV script beside it, as Debian's munge and SLURM have, reloads systemd three times, another five to nine seconds.
    This one asks systemd once and makes the link itself.
options:
  name:
    description: The unit, without C(.service).
    type: str
    required: true
  restart:
    description: Restart it if it runs already.
    type: bool
    default: false
author:
  - the authors of ai-how (@ai-how)
"""

EXAMPLES = """
- name: Run munged
  systemd_daemon:
    name: munge
"""

UNIT = "/usr/lib/systemd/system/{}.service"
LINK = "/etc/systemd/system/multi-user.target.wants/{}.service"


def main():
    module = AnsibleModule(
        argument_spec={"name": {"type": "str", "required": True}, "restart": {"type": "bool", "default": False}},
        supports_check_mode=True,
    )
    name, restart = module.params["name"], module.params["restart"]
    unit, link = UNIT.format(name), LINK.format(name)
    if not os.path.exists(unit):
        module.fail_json(msg=f"{unit} does not exist: the node's image lacks the package of {name}")

    starts_at_boot = os.path.lexists(link)
    runs = module.run_command(["systemctl", "is-active", "--quiet", name])[0] == 0
    changed = restart or not (starts_at_boot and runs)
    if not module.check_mode:
        if not starts_at_boot:
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink(unit, link)
        if restart or not runs:
            code, _said, complaint = module.run_command(["systemctl", "restart", name])
            if code != 0:
                last = module.run_command(["journalctl", "--unit", name, "--lines", "10", "--output", "cat"])[1]
                module.fail_json(msg=f"{name} did not start: {complaint.strip()}", stderr=last)
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
