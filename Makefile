# Every target is a script of the same name: without make, run scripts/demo or scripts/test.
.PHONY: demo teardown test lint sanity unit integration bench lab lab-reset lab-down clean

demo teardown test lint sanity unit bench clean:
	@scripts/$@

integration: # KIND=cgroup for one kind only
	@scripts/integration $(KIND)

lab: # a virtual machine with every engine
	@scripts/lab up

lab-reset lab-down:
	@scripts/lab $(@:lab-%=%)
