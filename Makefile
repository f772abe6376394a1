# SPDX-License-Identifier: GPL-2.0
# Builds sluice out of tree. `make help` lists the targets and variables.

VERSION := 0.1.0

MAKEFLAGS += --no-builtin-rules --no-builtin-variables
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all

# bpftool is in /usr/sbin, which is not on every user's path.
export PATH := $(PATH):/usr/sbin:/sbin

# --- Variables to set on the command line ------------------------------------

V ?= 0
SANITIZE ?= 0
WERROR ?= 0
BUILD ?= $(if $(filter 1,$(SANITIZE)),build/sanitize,build)
PREFIX ?= /usr/local
DESTDIR ?=
UNITDIR ?= $(PREFIX)/lib/systemd/system
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
CC := $(if $(filter default undefined,$(origin CC)),gcc,$(CC))
CLANG ?= clang
BPFTOOL ?= bpftool
LLVM_STRIP ?= llvm-strip
CLANG_FORMAT ?= clang-format
PKG_CONFIG ?= pkg-config
LOWDOWN ?= lowdown

ifeq ($(V),1)
Q :=
say :=
else
Q := @
say = @printf '  %-7s %s\n' $(1) $(2);
endif

# --- Sources: whatever is there ----------------------------------------------

BPF := $(patsubst bpf/%.bpf.c,%,$(wildcard bpf/*.bpf.c))
BPF_OBJECTS := $(BPF:%=$(BUILD)/bpf/%.bpf.o)
TEST_BPF_OBJECTS := $(patsubst tests/net/%.bpf.c,$(BUILD)/tests/%.bpf.o,$(wildcard tests/net/*.bpf.c))
SKELETONS := $(BPF:%=$(BUILD)/bpf/%.skel.h)

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $(1)/*.c))
LIB_OBJECTS := $(call objects,user/lib)
RELAY_OBJECTS := $(call objects,user/relay)
METRICS_OBJECTS := $(call objects,user/metrics)
GATEWAY_OBJECTS := $(call objects,user/gateway) $(METRICS_OBJECTS)
CLI_OBJECTS := $(call objects,user/cli) $(call objects,user/cli/doctor) $(call objects,user/cli/top)
AGENT_OBJECTS := $(call objects,user/agent)
UNIT_OBJECTS := $(call objects,tests/unit)
PACKET_OBJECTS := $(call objects,tests/packet)

# A fuzzer is a function fuzz_NAME in tests/fuzz/NAME.c; the unit tests call it too.
FUZZERS := line request proxy
FUZZ_OBJECTS := $(FUZZERS:%=$(BUILD)/obj/tests/fuzz/%.o) $(BUILD)/obj/tests/fuzz/request_seeds.o

# Parts of the tools that the unit tests call.
TOOL_PARTS := $(BUILD)/obj/tests/tools/wanem/schedule.o

# Gateway and agent less their main(): what the tests link with.
GATEWAY_MAIN := $(BUILD)/obj/user/gateway/main.o
GATEWAY_PARTS := $(filter-out $(GATEWAY_MAIN),$(GATEWAY_OBJECTS))
AGENT_PARTS := $(filter-out $(BUILD)/obj/user/agent/main.o,$(AGENT_OBJECTS))

# A tool of the tests is one file, or one directory, below tests/tools.
TOOL_FILES := $(patsubst tests/tools/%.c,%,$(wildcard tests/tools/*.c))
TOOL_DIRS := $(patsubst tests/tools/%/,%,$(sort $(dir $(wildcard tests/tools/*/*.c))))

PROGRAMS := $(if $(filter $(GATEWAY_MAIN),$(GATEWAY_OBJECTS)),$(BUILD)/bin/sluiced) \
	$(if $(CLI_OBJECTS),$(BUILD)/bin/sluice) \
	$(if $(AGENT_OBJECTS),$(BUILD)/bin/sluice-agent)
TEST_PROGRAMS := $(if $(UNIT_OBJECTS),$(BUILD)/tests/unit) \
	$(if $(PACKET_OBJECTS),$(BUILD)/tests/packet)
TOOLS := $(TOOL_FILES:%=$(BUILD)/tests/%) $(TOOL_DIRS:%=$(BUILD)/tests/%)

# A page is docs/man/NAME.SECTION.md; its date is that of the newest Debian changelog entry.
MAN := $(patsubst docs/man/%.md,$(BUILD)/man/%,$(wildcard docs/man/*.md))
UNITS := $(patsubst user/systemd/%.in,%,$(wildcard user/systemd/*.in))

# EXAMPLE=PAGE:NUMBER, the configuration that is the page's so manieth example.
EXAMPLES := gateway=sluice-gateway.conf.5:1 gateway-static=sluice-gateway.conf.5:2 \
	agent=sluice-agent.conf.5:1
EXAMPLE_FILES := $(foreach one,$(EXAMPLES),$(BUILD)/examples/$(firstword $(subst =, ,$(one))).conf.example)

# What the Debian package is built from, and the package.
DEB_SOURCES := Makefile LICENSE README.md bpf debian docs include user
DEB := $(BUILD)/deb/sluice_$(VERSION)_$(shell dpkg --print-architecture 2>/dev/null).deb

OBJECTS := $(LIB_OBJECTS) $(RELAY_OBJECTS) $(GATEWAY_OBJECTS) $(CLI_OBJECTS) $(AGENT_OBJECTS) $(FUZZ_OBJECTS) \
	$(BUILD)/obj/tests/fuzz/write_seeds.o $(UNIT_OBJECTS) $(PACKET_OBJECTS) $(TOOL_FILES:%=$(BUILD)/obj/tests/tools/%.o) \
	$(foreach tool,$(TOOL_DIRS),$(call objects,tests/tools/$(tool)))

# --- Goals that compile need tools, libraries and flags ----------------------

LIBRARIES := libbpf libxdp libconfuse jansson smartcols libmnl libcap-ng libmicrohttpd libseccomp openssl \
	libsystemd libnftables ncursesw
TEST_LIBRARIES := criterion
COMPILING := all tests install $(BUILD)/%

ifneq ($(filter $(COMPILING),$(or $(MAKECMDGOALS),$(.DEFAULT_GOAL))),)
testing := $(filter tests $(TEST_PROGRAMS),$(MAKECMDGOALS))
missing := $(strip $(foreach tool,$(CC) $(CLANG) $(BPFTOOL) $(LLVM_STRIP) $(PKG_CONFIG) $(LOWDOWN), \
	$(if $(shell PATH='$(PATH)' command -v $(firstword $(tool))),,$(tool))))
ifeq ($(missing),)
missing := $(strip $(foreach library,$(LIBRARIES) $(if $(testing),$(TEST_LIBRARIES)), \
	$(if $(shell $(PKG_CONFIG) --exists $(library) || echo no),$(library))))
endif
ifneq ($(missing),)
$(error $(missing) not found: run `sudo tests/install-packages build$(if $(testing), tests)`)
endif
LIBRARY_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(LIBRARIES))
LIBRARY_LIBS := $(shell $(PKG_CONFIG) --libs $(LIBRARIES))
TEST_LIBS := $(if $(testing),$(shell $(PKG_CONFIG) --libs $(TEST_LIBRARIES)))
MULTIARCH := $(shell $(CLANG) -print-multiarch)
endif

WARNINGS := -Wall -Wextra -Wshadow $(if $(filter 1,$(WERROR)),-Werror)
INCLUDES := -Iinclude -Iuser/lib -Iuser/relay -Iuser/gateway -Iuser/metrics -Iuser/agent -Iuser/cli \
	-I$(BUILD)/bpf -I$(BUILD)/page

CFLAGS ?= -O2 -g
ALL_CPPFLAGS = -D_GNU_SOURCE -DSLUICE_VERSION='"$(VERSION)"' $(INCLUDES) $(LIBRARY_CFLAGS) \
	$(if $(filter 1,$(SANITIZE)),,-D_FORTIFY_SOURCE=2) $(CPPFLAGS)
ALL_CFLAGS = -std=gnu17 $(WARNINGS) -Wmissing-prototypes -Wstrict-prototypes -Wconversion \
	-Wno-sign-conversion -fPIE $(SAFETY_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(SAFETY_LDFLAGS) $(LDFLAGS)

ifeq ($(SANITIZE),1)
SAFETY_CFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer
SAFETY_LDFLAGS := -fsanitize=address,undefined
else
SAFETY_CFLAGS := -fstack-protector-strong -fstack-clash-protection
endif

# As bpf/ includes the kernel's user-space headers, it needs asm/ of this machine.
BPF_CFLAGS := -target bpf -mcpu=v3 -g -O2 -std=gnu17 $(WARNINGS) -Wno-unused-parameter \
	-Iinclude -Ibpf -idirafter /usr/include/$(MULTIARCH)

# --- What people call --------------------------------------------------------

.PHONY: all tests test vmtest fuzz demo bench bench-quick bench-docs bench-compare packages install \
	deb format check-format clean help

all: $(PROGRAMS) $(SKELETONS) $(BUILD)/libsluice.a $(BUILD)/libgateway.a $(MAN) $(EXAMPLE_FILES)

tests: all $(TEST_PROGRAMS) $(TEST_BPF_OBJECTS) $(TOOLS)

jobs = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

test:
	@tests/install-packages
	@$(MAKE) --no-print-directory $(jobs) tests $(DEB) $(BUILD)/bookworm
	@tests/package/fetch depends $(BUILD)
	@SLUICE_BUILD=$(BUILD) tests/run

# Which kernels boot (6.1 6.12 newest), or an image of your own and its modules; which
# tests run in them (vmtest/run --help); by QEMU alone or virtme-ng (qemu, vng).
KERNELS ?=
KERNEL ?=
MODULES ?=
TESTS ?=
MACHINE ?= qemu

vmtest:
	@tests/install-packages build tests vmtest
	@vmtest/as-owner $(MAKE) --no-print-directory $(jobs) BUILD=$(BUILD) tests
	@vmtest/as-owner vmtest/run --build=$(BUILD) --machine=$(MACHINE) \
		--kernels='$(KERNELS)' --tests='$(TESTS)' $(if $(KERNEL),--kernel='$(KERNEL)') \
		$(if $(MODULES),--modules='$(MODULES)') \
		$(if $(KERNELS)$(KERNEL)$(TESTS),,--docs)

# Seconds that each fuzzer runs.
FUZZ_SECONDS ?= 60

fuzz:
	@$(MAKE) --no-print-directory $(jobs) BUILD=build/fuzz CC=clang SANITIZE=1 \
		CFLAGS='-O1 -g -fsanitize=fuzzer-no-link' $(FUZZERS:%=build/fuzz/tests/fuzz-%) \
		build/fuzz/tests/write-seeds
	@mkdir -p $(FUZZERS:%=build/fuzz/corpus/%)
	@build/fuzz/tests/write-seeds build/fuzz/corpus/request
	@for fuzzer in $(FUZZERS); do \
		seeds=tests/fuzz/corpus/$$fuzzer; [ -d $$seeds ] || seeds=; \
		build/fuzz/tests/fuzz-$$fuzzer -max_len=4096 -max_total_time=$(FUZZ_SECONDS) \
			-artifact_prefix=build/fuzz/ build/fuzz/corpus/$$fuzzer $$seeds || exit 1; \
	done

demo:
	@tests/install-packages build demo
	@$(MAKE) --no-print-directory $(jobs) all $(BUILD)/tests/wanem
	@SLUICE_BUILD=$(BUILD) tests/demo

bench bench-quick:
	@tests/install-packages build bench
	@$(MAKE) --no-print-directory $(jobs) all $(TOOLS)
	@SLUICE_BUILD=$(BUILD) tests/bench/run $(if $(filter bench-quick,$@),--quick,$(if $(filter 1,$(FULL)),--full))

# A saved run that bench-docs puts into the documents instead of a new one.
RUN ?=
# The run that bench-compare compares with.
BASE ?= docs/benchmarks/results.json

bench-docs: $(if $(RUN),,bench)
	@tests/bench/document $(or $(RUN),$(BUILD)/bench/results.json)

bench-compare:
	@tests/bench/compare $(BASE) $(BUILD)/bench/results.json

packages:
	@tests/install-packages

SOURCES = $(shell find bpf include user tests \( -name '*.c' -o -name '*.h' \))

format:
	$(call say,FORMAT,'*.c *.h')$(CLANG_FORMAT) -i $(SOURCES)

check-format:
	$(call say,CHECK,'format of *.c *.h')$(CLANG_FORMAT) --dry-run --Werror $(SOURCES)

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(filter-out %/sluice,$(PROGRAMS)) $(DESTDIR)$(PREFIX)/sbin
	install -m 755 $(filter %/sluice,$(PROGRAMS)) $(DESTDIR)$(PREFIX)/bin
	for page in $(MAN); do \
		install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} $$page || exit 1; \
	done
	install -d $(DESTDIR)$(UNITDIR)
	for unit in $(UNITS); do \
		sed 's,@SBINDIR@,$(PREFIX)/sbin,; s,@BINDIR@,$(PREFIX)/bin,' user/systemd/$$unit.in \
			>$(DESTDIR)$(UNITDIR)/$$unit && chmod 644 $(DESTDIR)$(UNITDIR)/$$unit || exit 1; \
	done
	install -D -m 644 user/systemd/sluice.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/sluice.conf
	install -D -m 644 user/completion/sluice.bash \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/sluice
	for daemon in sluiced sluice-agent; do \
		ln -sf sluice $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$daemon || exit 1; \
	done
	install -D -m 644 -t $(DESTDIR)$(ZSHDIR) user/completion/_sluice
	install -D -m 644 -t $(DESTDIR)/etc/sluice $(EXAMPLE_FILES)

deb:
	@tests/install-packages build deb
	@$(MAKE) --no-print-directory $(DEB)

clean:
	$(call say,CLEAN,$(BUILD))rm -rf $(BUILD)

help:
	@echo 'make                 build into $(BUILD)/bin'
	@echo 'sudo make test       install what is missing, build, run every test'
	@echo 'sudo make vmtest     the tests on other kernels: KERNELS="6.1 newest" TESTS=net/close'
	@echo '                     KERNEL=IMAGE MODULES=DIR MACHINE=qemu|vng'
	@echo 'sudo make fuzz       fuzz the parsers for FUZZ_SECONDS=$(FUZZ_SECONDS) each'
	@echo 'sudo make demo       install what is missing, build, show the gateway at work'
	@echo 'sudo make bench      benchmarks beside others, up to an hour, into $(BUILD)/bench;'
	@echo '                     FULL=1: the product of all axes, a day or more'
	@echo 'sudo make bench-quick the rows that matter most, under three minutes'
	@echo 'sudo make bench-docs  put a new run (RUN=results.json: that one) into docs/benchmarks.md'
	@echo 'make bench-compare   the run in $(BUILD)/bench beside BASE=$(BASE)'
	@echo 'sudo make packages   install the packages of tests/packages.txt'
	@echo 'make tests           build the test programs and tools as well'
	@echo 'make install         install; DESTDIR= PREFIX=$(PREFIX)'
	@echo 'make deb             build a Debian package into $(BUILD)/deb'
	@echo 'make format          put C sources in the house style; check-format only looks'
	@echo 'make clean           remove $(BUILD)'
	@echo 'Variables: V=1 shows commands, WERROR=1 makes warnings errors, SANITIZE=1 builds with'
	@echo 'ASan and UBSan into build/sanitize, BUILD=DIR, CC=gcc|clang, CFLAGS, LDFLAGS'

# --- BPF: C -> object -> skeleton --------------------------------------------

$(BPF_OBJECTS): $(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(BUILD)/flags.bpf
	@mkdir -p $(@D)
	$(call say,BPF,$<)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

$(TEST_BPF_OBJECTS): $(BUILD)/tests/%.bpf.o: tests/net/%.bpf.c $(BUILD)/flags.bpf
	@mkdir -p $(@D)
	$(call say,BPF,$<)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

$(SKELETONS): $(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name $*_bpf >$@

# --- Status page: parts -> one file -> C -------------------------------------

# A line "@include FILE" stands for that file.
$(BUILD)/page/status_page.html: $(wildcard user/metrics/page/*)
	@mkdir -p $(@D)
	$(call say,PAGE,$@)awk -v dir=user/metrics/page/ '/^@include / { file = dir $$2; n = 0; \
		while ((status = (getline line < file)) > 0) { print line; n++ } \
		if (status < 0 || !n) { print "cannot read " file > "/dev/stderr"; exit 1 } next } \
		{ print }' user/metrics/page/page.html >$@

$(BUILD)/page/status_page.inc: $(BUILD)/page/status_page.html
	$(Q)od -An -v -tx1 $< | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1,/g' >$@

$(BUILD)/obj/user/metrics/status_page.o: $(BUILD)/page/status_page.inc

# --- Manual pages and the examples in them ------------------------------------

$(MAN): $(BUILD)/man/%: docs/man/%.md docs/man/to-man debian/changelog
	@mkdir -p $(@D)
	$(call say,MAN,$@)LOWDOWN=$(LOWDOWN) docs/man/to-man $< $(VERSION) \
		"$$(date -u -d "$$(sed -n 's/^ -- .*>  //p;T;q' debian/changelog)" +%F)" >$@

define example
$(BUILD)/examples/$(1).conf.example: docs/man/$(word 1,$(subst :, ,$(2))).md docs/man/example
	@mkdir -p $$(@D)
	$$(call say,EXAMPLE,$$@)docs/man/example $$< $(word 2,$(subst :, ,$(2))) >$$@
endef
$(foreach one,$(EXAMPLES),$(eval $(call example,$(word 1,$(subst =, ,$(one))),$(word 2,$(subst =, ,$(one))))))

# --- The Debian package --------------------------------------------------------

# What debhelper makes stays out of the tree: the package is built from a copy. It must
# not see the variables of this make, above all not BUILD, which `make clean` removes.
$(DEB): $(shell find $(DEB_SOURCES) -type f)
	@rm -rf $(BUILD)/deb && mkdir -p $(BUILD)/deb/sluice-$(VERSION)
	@cp -a $(DEB_SOURCES) $(BUILD)/deb/sluice-$(VERSION)
	$(call say,DEB,$@)cd $(BUILD)/deb/sluice-$(VERSION) && env -i PATH="$$PATH" HOME=/ \
		LC_ALL=C.UTF-8 dpkg-buildpackage --build=binary --no-sign >../build.log 2>&1 || \
		{ tail -n 40 ../build.log >&2; exit 1; }

# The disk that the tests install it on; while others compile, the mirror is waited for.
$(BUILD)/bookworm: FORCE
	@tests/package/fetch tree $(BUILD)

# --- User space --------------------------------------------------------------

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# Any of these may include a skeleton: it must be there before the first
# compilation; from then on the dependency files know who does.
$(LIB_OBJECTS) $(RELAY_OBJECTS) $(GATEWAY_OBJECTS) $(AGENT_OBJECTS) $(CLI_OBJECTS) $(PACKET_OBJECTS) $(UNIT_OBJECTS): | $(SKELETONS)

define archive
$(call say,AR,$@)rm -f $@ && ar rcsD $@ $(filter %.o,$^)
endef

define link
@mkdir -p $(@D)
$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) \
	$(LIBRARY_LIBS)
endef

# What the programs share: the library, and the relays of gateway and agent.
$(BUILD)/libsluice.a: $(LIB_OBJECTS) $(RELAY_OBJECTS)
	$(archive)

$(BUILD)/libgateway.a: $(GATEWAY_PARTS)
	$(archive)

$(BUILD)/libagent.a: $(AGENT_PARTS)
	$(archive)

$(BUILD)/bin/sluiced: $(GATEWAY_OBJECTS) $(BUILD)/libsluice.a
	$(link)

$(BUILD)/bin/sluice: $(CLI_OBJECTS) $(BUILD)/libsluice.a
	$(link)

$(BUILD)/bin/sluice-agent: $(AGENT_OBJECTS) $(BUILD)/libsluice.a
	$(link)

$(BUILD)/tests/unit: $(UNIT_OBJECTS) $(FUZZ_OBJECTS) $(TOOL_PARTS) $(BUILD)/libgateway.a $(BUILD)/libagent.a $(BUILD)/libsluice.a
	$(link) $(TEST_LIBS) -lm

$(BUILD)/tests/packet: $(PACKET_OBJECTS) $(BUILD)/libgateway.a $(BUILD)/libsluice.a
	$(link) $(TEST_LIBS)

# libFuzzer's programs: only in a build of `make fuzz`.
$(BUILD)/tests/fuzz-%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/libgateway.a $(BUILD)/libsluice.a \
		tests/fuzz/libfuzzer.c
	$(call say,LINK,$@)mkdir -p $(@D) && $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) \
		-fsanitize=fuzzer -DFUZZ_TARGET=fuzz_$* -o $@ tests/fuzz/libfuzzer.c $< \
		$(filter %.a,$^) $(LIBRARY_LIBS)

# Seeds that have to be made: those of tests/fuzz/corpus are text.
$(BUILD)/tests/write-seeds: $(BUILD)/obj/tests/fuzz/write_seeds.o \
		$(BUILD)/obj/tests/fuzz/request_seeds.o $(BUILD)/libsluice.a
	$(link)

define tool_file
$(BUILD)/tests/$(1): $(BUILD)/obj/tests/tools/$(1).o $(BUILD)/libagent.a $(BUILD)/libsluice.a
	$$(link) -lm
endef
$(foreach tool,$(TOOL_FILES),$(eval $(call tool_file,$(tool))))

define tool_dir
$(BUILD)/tests/$(1): $(call objects,tests/tools/$(1)) $(BUILD)/libsluice.a
	$$(link) -lm
endef
$(foreach tool,$(TOOL_DIRS),$(eval $(call tool_dir,$(tool))))

# Objects depend on the flags they were built with.
define remember
@mkdir -p $(@D)
@printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(1))' >$@
endef

$(BUILD)/flags: FORCE
	$(call remember,$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS))

$(BUILD)/flags.bpf: FORCE
	$(call remember,$(CLANG) $(BPF_CFLAGS))

.PHONY: FORCE
FORCE:

-include $(OBJECTS:.o=.d) $(BPF_OBJECTS:.o=.d) $(TEST_BPF_OBJECTS:.o=.d)
