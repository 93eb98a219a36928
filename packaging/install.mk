# What `make install DESTDIR=... PREFIX=/usr` puts where. It refuses to build, to enable a unit and to touch existing settings:
# only examples are installed under /etc/node-steward. Included by the Makefile.
#
# Which run happens by default, by layout, and why. The late run is kubelet.service.d/90-node-steward.conf, installed and thereby
# active; the early run is node-steward-bootstrap.service, which is active once it is enabled.
#
#   layout       early run   late run   why
#   eks-al2      disabled    active     bootstrap.sh rewrites kubelet-config.json from user data, then starts kubelet: only what
#                                       comes after it, in front of kubelet, stays.
#   eks-al2023   enabled     active     nodeadm-run alone reads the fragment and gives kubelet --config-dir because of it, so it must
#                                       be there before; the late run sees what nodeadm made of it and settles the boot.
#   drop-in      disabled    active     nobody but kubelet reads the drop-in; right before kubelet all other files are final.
#   kubeadm      disabled    active     kubeadm writes its file in `join`, long after boot, and then starts kubelet; the hook
#                                       kubeadm.sh places the line that makes kubelet read the directory.
#   stand-alone  disabled    active     kubelet is somebody else's: `bootstrap --base FILE --out FILE` is called by hand; a late run
#                                       without a layout says so and kubelet starts.
#
# Enabling the early run where the table says "disabled" is harmless: it leaves the boot open for the late run.

DESTDIR ?=
PREFIX ?= /usr
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
BINARY ?= target/release/node-steward

# Another prefix moves the program and the hooks; the units and hooks are told.
place := sed -e 's,/usr/bin/node-steward,$(PREFIX)/bin/node-steward,g' -e 's,/usr/lib/node-steward/bootstrap,$(PREFIX)/lib/node-steward/bootstrap,g'
hooks := eks-al2.sh kubeadm.sh container-volume.sh
user_data := eks-al2023.mime cloud-init.yaml

.PHONY: install
install:
	@test -x "$(BINARY)" || { echo "make install: $(BINARY) is not there: run cargo build --release first" >&2; exit 1; }
	install -D -m 0755 "$(BINARY)" "$(DESTDIR)$(PREFIX)/bin/node-steward"
	install -d -m 0755 "$(DESTDIR)$(UNITDIR)/kubelet.service.d" "$(DESTDIR)$(PREFIX)/lib/node-steward/bootstrap" \
	    "$(DESTDIR)/usr/lib/node-steward/config.d" "$(DESTDIR)$(SYSCONFDIR)/node-steward/config.d" \
	    "$(DESTDIR)$(PREFIX)/share/doc/node-steward"
	set -e; for unit in node-steward.service node-steward-bootstrap.service node-steward-container-volume.service \
	    node-steward-protect.service kubelet.service.d/90-node-steward.conf; do \
	    $(place) "systemd/$$unit" >"$(DESTDIR)$(UNITDIR)/$$unit"; chmod 0644 "$(DESTDIR)$(UNITDIR)/$$unit"; done
	set -e; for hook in $(hooks); do $(place) "bootstrap/$$hook" >"$(DESTDIR)$(PREFIX)/lib/node-steward/bootstrap/$$hook"; \
	    chmod 0755 "$(DESTDIR)$(PREFIX)/lib/node-steward/bootstrap/$$hook"; done
	set -e; for file in $(user_data); do $(place) "bootstrap/$$file" >"$(DESTDIR)$(PREFIX)/lib/node-steward/bootstrap/$$file"; \
	    chmod 0644 "$(DESTDIR)$(PREFIX)/lib/node-steward/bootstrap/$$file"; done
	install -m 0644 packaging/root/etc/node-steward/*.example "$(DESTDIR)$(SYSCONFDIR)/node-steward/"
	set -e; for file in README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE packaging/doc/*.md packaging/doc/*.yaml; do test ! -f "$$file" || \
	    install -m 0644 "$$file" "$(DESTDIR)$(PREFIX)/share/doc/node-steward/$${file##*/}"; done
