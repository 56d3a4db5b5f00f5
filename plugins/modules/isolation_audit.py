#!/usr/bin/python
from ansible_collections.strata.virt.plugins.module_utils.acts import isolation_audit
from ansible_collections.strata.virt.plugins.module_utils.core.doors import act


def main() -> None:
    act(isolation_audit.FIELDS, isolation_audit.tell)


if __name__ == "__main__":
    main()
