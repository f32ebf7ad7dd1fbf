"""Docker's default profile of system calls as config.json has it."""
import json
import pathlib


def default_filter(profile):
    """As an engine resolves the file for a container on x86-64 without added capabilities."""
    profile = json.loads(pathlib.Path(profile).read_text())

    def holds(includes):
        return not set(includes) - {"minKernel", "arches"} and "amd64" in includes.get("arches", ["amd64"])

    rules = [{name: rule[name] for name in ("names", "action", "args", "errnoRet") if rule.get(name)}
             for rule in profile["syscalls"] if holds(rule.get("includes", {}))]
    return {"defaultAction": profile["defaultAction"], "defaultErrnoRet": profile["defaultErrnoRet"],
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "syscalls": rules}
