#!/usr/bin/python
from ansible_collections.strata.virt.plugins.module_utils.acts import workload_info
from ansible_collections.strata.virt.plugins.module_utils.core.doors import act


def main() -> None:
    act(workload_info.FIELDS, workload_info.tell)


if __name__ == "__main__":
    main()
