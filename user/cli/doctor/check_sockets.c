/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel has for sockets, the kernel engine among it: found by making
 * some, in a network namespace of a child's own that vanishes with it. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor.h"
#include "kernel_engine_test.h"
#include "mptcp.h"
#include "socket_option.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int result = fd < 0 ? -errno : ioctl(fd, SIOCSIFFLAGS, &request);

	if (fd >= 0)
		close(fd);
	return result;
}

/* True when probe says so inside a network namespace of its own. */
static bool try_apart(bool (*probe)(void))
{
	int status = 1;
	pid_t child = fork();

	if (child == 0)
		_exit(unshare(CLONE_NEWNET) < 0 || loopback_up() < 0 || !probe());
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* A listener on loopback; its name in *address. */
static int listen_somewhere(struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = (struct sockaddr_in){ .sin_family = AF_INET,
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd >= 0 && (bind(fd, (struct sockaddr *)address, length) < 0 || listen(fd, 1) < 0 ||
			getsockname(fd, (struct sockaddr *)address, &length) < 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* An address that no interface has is bound to. */
static bool binds_transparent(void)
{
	struct sockaddr_in foreign = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(0xc0000201) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && socket_set_int(fd, IPPROTO_IP, IP_TRANSPARENT, 1) == 0 &&
	       bind(fd, (struct sockaddr *)&foreign, sizeof(foreign)) == 0;
}

/* A listener is destroyed from outside; 0 is the kernel's answer then. */
static bool destroys_sockets(void)
{
	char buffer[1024];
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *request;
	struct mnl_socket *netlink;
	struct sockaddr_in address;
	int fd = listen_somewhere(&address);
	ssize_t length = -1;

	message->nlmsg_type = SOCK_DESTROY;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	request = mnl_nlmsg_put_extra_header(message, sizeof(*request));
	request->sdiag_family = AF_INET;
	request->sdiag_protocol = IPPROTO_TCP;
	request->idiag_states = ~0U;
	request->id.idiag_sport = address.sin_port;
	request->id.idiag_src[0] = address.sin_addr.s_addr;
	request->id.idiag_cookie[0] = request->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	netlink = mnl_socket_open(NETLINK_SOCK_DIAG);
	if (fd >= 0 && netlink && mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) == 0 &&
	    mnl_socket_sendto(netlink, message, message->nlmsg_len) > 0)
		length = mnl_socket_recvfrom(netlink, buffer, sizeof(buffer));
	return length > 0 && mnl_cb_run(buffer, (size_t)length, 0, 0, NULL, NULL) >= 0;
}

static bool makes_mptcp(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP) >= 0;
}

/* The path manager's own interface, as the relay would open it. */
static bool manages_paths(void)
{
	struct mptcp_manager *manager;

	return mptcp_take_over() == 0 && mptcp_manager_open(&manager) == 0;
}

/* Whether a port asks for it: then its absence is a problem. */
static bool is_parallel_asked(const struct gateway_config *config)
{
	for (size_t i = 0; config && i < config->proxy_count; i++)
		for (size_t j = 0; j < config->proxies[i].port_count; j++)
			if (config->proxies[i].ports[j].params.parallel > 1)
				return true;
	return false;
}

static void check_mptcp(struct doctor *doctor)
{
	static const char why[] = "parallel = N has one flow carried by several connections "
				  "(MPTCP)";
	enum severity severity = is_parallel_asked(doctor->config) ? SEVERITY_PROBLEM
								   : SEVERITY_NOTE;

	if (!try_apart(makes_mptcp)) {
		report_finding(doctor, severity, "no-mptcp",
			       json_string("this kernel has no MPTCP"), json_string(why), NULL,
			       json_string("use a kernel with CONFIG_MPTCP and CONFIG_MPTCP_IPV6"));
		return;
	}
	report_good(doctor, "MPTCP");
	if (doctor_sysctl("net/mptcp/enabled") == 0)
		report_finding(doctor, severity, "mptcp-disabled",
			       json_string("MPTCP is switched off (net.mptcp.enabled = 0)"),
			       json_string(why), json_string("sysctl -w net.mptcp.enabled=1"),
			       NULL);
	if (try_apart(manages_paths))
		report_good(doctor, "MPTCP path manager");
	else
		report_finding(doctor, severity, "no-path-manager",
			       json_string("this kernel has no MPTCP path manager for user space"),
			       json_string(why), NULL, json_string("use a kernel from 5.19 on"));
}

/* What the start-up self-test said, written by a child. */
static char *engine_text;

static bool carries_a_flow(void)
{
	return kernel_engine_test(engine_text) == 0;
}

/* As the daemon that runs has found, or by the same test. */
static void check_kernel_engine(struct doctor *doctor)
{
	const json_t *told = json_object_get(doctor->status, "kernel_engine");
	const char *why = json_string_value(json_object_get(told, "why"));
	bool offered = json_is_true(json_object_get(told, "offered"));

	engine_text = mmap(NULL, KERNEL_ENGINE_TEST_TEXT_MAX, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (engine_text == MAP_FAILED)
		return;
	if (!why) {
		offered = try_apart(carries_a_flow);
		why = *engine_text ? engine_text : "the test did not come to an end";
	}
	if (offered)
		report_good(doctor, "kernel engine");
	else
		report_finding(doctor, SEVERITY_WARNING, "no-kernel-engine",
			       json_sprintf("the kernel engine is not used: %s", why),
			       json_string("all flows are carried by splice(2), engine = kernel "
					   "included"),
			       NULL,
			       json_string("a newer kernel may pass the test: Debian's from 6.12 "
					   "on are known to"));
	munmap(engine_text, KERNEL_ENGINE_TEST_TEXT_MAX);
}

void check_sockets(struct doctor *doctor)
{
	if (try_apart(binds_transparent))
		report_good(doctor, "IP_TRANSPARENT");
	else
		report_finding(doctor, SEVERITY_PROBLEM, "no-transparent",
			       json_string(
				       "sockets cannot have foreign addresses (IP_TRANSPARENT)"),
			       json_string("a client's leg has its remote's address here"), NULL,
			       json_string("let this container have CAP_NET_ADMIN"));
	if (try_apart(destroys_sockets))
		report_good(doctor, "SOCK_DESTROY");
	else
		report_finding(doctor, SEVERITY_WARNING, "no-sock-destroy",
			       json_string("sockets cannot be destroyed (SOCK_DESTROY)"),
			       json_string("a client that uses its port again just when an entry "
					   "has gone waits for up to a minute"),
			       NULL, json_string("use a kernel with CONFIG_INET_DIAG_DESTROY"));
	check_kernel_engine(doctor);
	check_mptcp(doctor);
}
