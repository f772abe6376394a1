// SPDX-License-Identifier: GPL-2.0
/*
 * kernel_features: what the running kernel offers of that which the programs in
 * bpf/ use, or do without, as JSON. Each is tried, in a network namespace that ends
 * with this program; vmtest/features.py adds what can be tried without BPF.
 */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <jansson.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of kernels 6.6 and 6.4; headers of older distributions lack them. */
#define ATTACH_TCX_INGRESS 46
#define MAP_FLAG_LINK (1U << 13)

/* How long a packet on lo may take. */
#define ARRIVAL_MS 2000

/* A program that returns 0, which is as good a program as any of its type. */
static int load_program(enum bpf_prog_type type, enum bpf_attach_type attach)
{
	static const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	DECLARE_LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = attach);

	return bpf_prog_load(type, NULL, "GPL", nothing, sizeof(nothing) / sizeof(*nothing),
			     &options);
}

/* Closes what was tried; true when there was something. */
static bool worked(int fd)
{
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static bool has_tcx(void)
{
	int program = load_program(BPF_PROG_TYPE_SCHED_CLS, 0);
	bool result;

	if (program < 0)
		return false;
	result = worked(bpf_link_create(program, (int)if_nametoindex("lo"),
					(enum bpf_attach_type)ATTACH_TCX_INGRESS, NULL));
	close(program);
	return result;
}

static bool has_struct_ops(const struct btf *kernel, uint32_t flags)
{
	DECLARE_LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);
	int id = btf__find_by_name_kind(kernel, "bpf_struct_ops_tcp_congestion_ops",
					BTF_KIND_STRUCT);
	struct btf *own = btf__new_empty(); /* such a map must have some types of its own */
	bool result = false;

	if (id > 0 && own && btf__add_int(own, "int", 4, BTF_INT_SIGNED) > 0 &&
	    btf__load_into_kernel(own) == 0) {
		options.btf_fd = (uint32_t)btf__fd(own);
		options.btf_vmlinux_value_type_id = (uint32_t)id;
		result = worked(bpf_map_create(BPF_MAP_TYPE_STRUCT_OPS, "probe", sizeof(uint32_t),
					       (uint32_t)btf__resolve_size(kernel, (uint32_t)id), 1,
					       &options));
	}
	btf__free(own);
	return result;
}

/* Gives every packet to the socket in map, and lets it go on. */
static int load_assignment(int map)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1 },
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4 },
		{ .code = BPF_LD | BPF_IMM | BPF_DW,
		  .dst_reg = 1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem },
		{ .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = 2 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 7, .src_reg = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 6 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 7 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sk_assign },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 7 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sk_release },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, NULL, "GPL", program,
			     sizeof(program) / sizeof(*program), NULL);
}

static bool raise_lo(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool result = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;

	worked(fd);
	return result;
}

static bool attach_to_lo(int program)
{
	DECLARE_LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex("lo"),
			    .attach_point = BPF_TC_INGRESS);
	DECLARE_LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program);

	return bpf_tc_hook_create(&hook) == 0 && bpf_tc_attach(&hook, &options) == 0;
}

/* A socket of that kind, and a packet to a port where nobody is: does the socket
 * get it? A test run would not do, as only real ingress may assign. */
static bool assigns_to_reuseport(void)
{
	const struct sockaddr_in nobody = { .sin_family = AF_INET,
					    .sin_port = htons(9),
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in somebody = { .sin_family = AF_INET };
	int map = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "probe", sizeof(uint32_t), sizeof(uint64_t),
				 1, NULL);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), yes = 1;
	int program = load_assignment(map);
	struct pollfd arrival = { .fd = fd, .events = POLLIN };
	const uint64_t value = (uint64_t)fd;
	const uint32_t key = 0;
	bool result = setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)) == 0 &&
		      bind(fd, (struct sockaddr *)&somebody, sizeof(somebody)) == 0 &&
		      bpf_map_update_elem(map, &key, &value, BPF_ANY) == 0 &&
		      attach_to_lo(program) &&
		      sendto(fd, "", 1, 0, (const struct sockaddr *)&nobody, sizeof(nobody)) == 1 &&
		      poll(&arrival, 1, ARRIVAL_MS) == 1 && arrival.revents == POLLIN;

	worked(program);
	worked(fd);
	worked(map);
	return result;
}

static bool has_sockhash_verdict(void)
{
	int map = bpf_map_create(BPF_MAP_TYPE_SOCKHASH, "probe", sizeof(uint32_t), sizeof(uint64_t),
				 1, NULL);
	int program = load_program(BPF_PROG_TYPE_SK_SKB, BPF_SK_SKB_STREAM_VERDICT);
	bool result = map >= 0 && program >= 0 &&
		      bpf_prog_attach(program, map, BPF_SK_SKB_STREAM_VERDICT, 0) == 0;

	worked(program);
	worked(map);
	return result;
}

/* Asks to destroy a connection that is not there: where it can be done, the answer says so. */
static bool destroys_sockets(void)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 wanted;
	} request = {
		.header = { .nlmsg_len = sizeof(request),
			    .nlmsg_type = SOCK_DESTROY,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.wanted = { .sdiag_family = AF_INET,
			    .sdiag_protocol = IPPROTO_TCP,
			    .idiag_states = ~0U,
			    .id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } },
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[256];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	bool result = fd >= 0 && send(fd, &request, sizeof(request), 0) == sizeof(request) &&
		      recv(fd, &answer, sizeof(answer), 0) > (ssize_t)sizeof(answer.header) &&
		      answer.header.nlmsg_type == NLMSG_ERROR && answer.error.error == -ENOENT;

	worked(fd);
	return result;
}

int main(void)
{
	struct btf *kernel = btf__load_vmlinux_btf();
	json_t *features;

	if (unshare(CLONE_NEWNET) < 0 || !raise_lo()) {
		fprintf(stderr, "kernel_features: no network namespace: %s\n", strerror(errno));
		return 1;
	}
	features = json_pack("{s:b, s:b, s:b, s:b, s:b, s:b, s:b}", "BTF", kernel != NULL,
			     "tcx links", has_tcx(), "congestion controls in BPF",
			     kernel && has_struct_ops(kernel, 0), "... registered by a link",
			     kernel && has_struct_ops(kernel, MAP_FLAG_LINK),
			     "sk_assign to reuseport listeners", assigns_to_reuseport(),
			     "sockhash stream verdict", has_sockhash_verdict(),
			     "sockets can be destroyed", destroys_sockets());
	btf__free(kernel);
	if (!features || json_dumpf(features, stdout, JSON_INDENT(1)) < 0)
		return 1;
	json_decref(features);
	putchar('\n');
	return 0;
}
