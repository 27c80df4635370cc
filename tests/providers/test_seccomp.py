"""The seccomp profile as data: an allow-list that says nothing twice and lets nothing through by a side door."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

PROFILE: dict[str, Any] = json.loads(
    resources.files("openenv_grpc.providers").joinpath("seccomp.json").read_text(encoding="utf-8")
)
ALLOWED = [rule for rule in PROFILE["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW"]
LEFT_OUT = """
    io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key bpf userfaultfd perf_event_open ptrace
    process_vm_readv process_vm_writev kcmp pidfd_getfd mount umount2 pivot_root setns unshare chroot open_by_handle_at
    fsopen fsmount fsconfig move_mount open_tree mount_setattr init_module finit_module delete_module kexec_load
    kexec_file_load reboot swapon swapoff sethostname setdomainname settimeofday clock_settime iopl ioperm quotactl
    syslog acct fanotify_init fanotify_mark memfd_secret modify_ldt socketcall ipc mbind set_mempolicy move_pages
    name_to_handle_at vmsplice process_mrelease migrate_pages vhangup nfsservctl lookup_dcookie uselib process_madvise
"""
NEEDED = """
    memfd_create fcntl sched_setaffinity sched_getaffinity sched_setattr prctl pidfd_open pidfd_send_signal eventfd2
    signalfd4 timerfd_create sendmsg recvmsg landlock_create_ruleset seccomp futex rseq execve mmap getrandom
    epoll_pwait2 statx faccessat2 close_range
"""


def names(rules: list[dict[str, Any]]) -> list[str]:
    return [name for rule in rules for name in rule["names"]]


def test_it_is_an_allow_list_for_two_architectures_without_their_32_bit_modes():
    assert PROFILE["defaultAction"] == "SCMP_ACT_ERRNO"
    assert {rule["action"] for rule in PROFILE["syscalls"]} == {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"}
    assert PROFILE["archMap"] == [{"architecture": "SCMP_ARCH_X86_64"}, {"architecture": "SCMP_ARCH_AARCH64"}]


def test_nothing_depends_on_a_capability():
    assert all("caps" not in rule.get("includes", {}) and "excludes" not in rule for rule in PROFILE["syscalls"])


def test_what_is_left_out_and_what_must_stay():
    assert not set(LEFT_OUT.split()) & set(names(ALLOWED))
    assert set(NEEDED.split()) <= set(names([rule for rule in ALLOWED if "args" not in rule]))


def test_calls_with_conditions_are_allowed_nowhere_without():
    plain = names([rule for rule in ALLOWED if "args" not in rule])
    assert len(plain) == len(set(plain))
    assert not {"socket", "socketpair", "clone", "clone3", "personality"} & set(plain)


def test_sockets_are_unix_tcp_and_udp():
    """Each rule names its family; those of the internet also kind and protocol.

    An argument comes once in a rule: the engine takes conditions on the same one for alternatives.
    """
    found = []
    for rule in ALLOWED:
        if "socket" in rule["names"]:
            args = {arg["index"]: arg for arg in rule["args"]}
            assert len(args) == len(rule["args"])
            kind = args.get(1)
            assert kind is None or (kind["op"], kind["value"]) == ("SCMP_CMP_MASKED_EQ", 15)
            assert all(args[index]["op"] == "SCMP_CMP_EQ" for index in args if index != 1)
            found.append((args[0]["value"], kind and kind["valueTwo"], args[2]["value"] if 2 in args else None))
    internet = [(family, *rest) for family in (2, 10) for rest in ((1, 0), (1, 6), (2, 0), (2, 17))]
    assert ["socket", "socketpair"] in [
        rule["names"] for rule in ALLOWED if rule.get("args", [{}])[0].get("value") == 1
    ]
    assert sorted(found, key=str) == sorted([(1, None, None), *internet], key=str)


def test_clone_makes_no_namespace():
    (rule,) = [rule for rule in ALLOWED if rule["names"] == ["clone"]]
    new = 0x0002_0000 | 0x0200_0000 | 0x0400_0000 | 0x0800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000
    assert rule["args"] == [{"index": 0, "value": new, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    (third,) = [rule for rule in PROFILE["syscalls"] if rule["names"] == ["clone3"]]
    assert (third["action"], third["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)
