/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A TUN device with virtio-net headers and segmentation offload, so that whole
 * super-packets of up to 64 KiB cross it in one read or write.
 */
#include "tun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <linux/virtio_net.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* A full ring of the device drops in silence: it must hold what arrives while
 * this process waits for a processor. */
#define QUEUE_PACKETS 10000

static int complain(const char *what, const char *on)
{
	int error = -errno;

	fprintf(stderr, "wanem: %s %s: %s\n", what, on, strerror(-error));
	return error;
}

static int enter_netns(const char *netns)
{
	char path[256];
	int fd, error = 0;

	if (!netns)
		return 0;
	snprintf(path, sizeof(path), "%s%s", strchr(netns, '/') ? "" : "/run/netns/", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return complain("network namespace", path);
	if (setns(fd, CLONE_NEWNET) < 0)
		error = complain("entering the network namespace", path);
	close(fd);
	return error;
}

static int create_device(int fd, const char *device)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR };
	int header_size = sizeof(struct virtio_net_hdr);

	strncpy(request.ifr_name, device, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return complain("creating the TUN device", device);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header_size) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
		return complain("setting the offloads of", device);
	return 0;
}

static int set_up_device(int control, const struct tun_settings *settings)
{
	struct ifreq request = { 0 };

	strncpy(request.ifr_name, settings->device, IFNAMSIZ - 1);
	request.ifr_qlen = QUEUE_PACKETS;
	if (ioctl(control, SIOCSIFTXQLEN, &request) < 0)
		return complain("setting the queue length of", settings->device);
	request.ifr_mtu = (int)settings->mtu;
	if (ioctl(control, SIOCSIFMTU, &request) < 0)
		return complain("setting the MTU of", settings->device);
	if (ioctl(control, SIOCGIFFLAGS, &request) < 0)
		return complain("reading the flags of", settings->device);
	request.ifr_flags |= IFF_UP;
	if (ioctl(control, SIOCSIFFLAGS, &request) < 0)
		return complain("setting up", settings->device);
	return 0;
}

static int add_ipv4(int control, const char *device, const struct in_addr *address, unsigned prefix)
{
	struct ifreq request = { 0 };
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr = *address };

	strncpy(request.ifr_name, device, IFNAMSIZ - 1);
	memcpy(&request.ifr_addr, &sa, sizeof(sa));
	if (ioctl(control, SIOCSIFADDR, &request) < 0)
		return -1;
	sa.sin_addr.s_addr = prefix ? htonl(~0U << (32 - prefix)) : 0;
	memcpy(&request.ifr_netmask, &sa, sizeof(sa));
	return ioctl(control, SIOCSIFNETMASK, &request);
}

static int add_ipv6(int control, const char *device, const struct in6_addr *address,
		    unsigned prefix)
{
	struct ifreq request = { 0 };
	struct in6_ifreq assignment = { .ifr6_addr = *address, .ifr6_prefixlen = prefix };
	int ipv6, status;

	strncpy(request.ifr_name, device, IFNAMSIZ - 1);
	if (ioctl(control, SIOCGIFINDEX, &request) < 0)
		return -1;
	assignment.ifr6_ifindex = request.ifr_ifindex;
	ipv6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (ipv6 < 0)
		return -1;
	status = ioctl(ipv6, SIOCSIFADDR, &assignment);
	close(ipv6);
	return status;
}

static int add_address(int control, const char *device, const char *text)
{
	char address[INET6_ADDRSTRLEN + 4];
	const char *slash = strchr(text, '/');
	struct in6_addr ipv6;
	struct in_addr ipv4;
	unsigned long prefix;
	char *end;
	int status;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		goto invalid;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	prefix = strtoul(slash + 1, &end, 10);
	if (end == slash + 1 || *end)
		goto invalid;

	if (inet_pton(AF_INET, address, &ipv4) == 1 && prefix <= 32)
		status = add_ipv4(control, device, &ipv4, (unsigned)prefix);
	else if (inet_pton(AF_INET6, address, &ipv6) == 1 && prefix <= 128)
		status = add_ipv6(control, device, &ipv6, (unsigned)prefix);
	else
		goto invalid;
	return status < 0 ? complain("adding an address to", device) : 0;

invalid:
	fprintf(stderr, "wanem: \"%s\" is not an address with a prefix, such as 10.9.0.1/24\n",
		text);
	return -EINVAL;
}

/* In the namespace of the device. */
static int open_here(struct tun *tun, const struct tun_settings *settings)
{
	int control, error;

	tun->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tun->fd < 0)
		return complain("opening", "/dev/net/tun");
	tun->statistics = fopen("/proc/thread-self/net/dev", "re");
	if (!tun->statistics)
		return complain("opening", "/proc/thread-self/net/dev");
	control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (control < 0)
		return complain("opening a socket for", settings->device);

	error = create_device(tun->fd, settings->device);
	if (!error)
		error = set_up_device(control, settings);
	for (unsigned i = 0; !error && i < settings->address_count; i++)
		error = add_address(control, settings->device, settings->addresses[i]);
	close(control);
	return error;
}

int tun_open(struct tun *tun, const struct tun_settings *settings)
{
	int home, error;

	*tun = (struct tun){ .fd = -1, .device = settings->device };
	home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0)
		return complain("opening", "/proc/thread-self/ns/net");

	error = enter_netns(settings->netns);
	if (!error)
		error = open_here(tun, settings);
	if (setns(home, CLONE_NEWNET) < 0 && !error)
		error = complain("leaving the network namespace of", settings->device);
	close(home);
	if (error)
		tun_close(tun);
	return error;
}

void tun_close(struct tun *tun)
{
	if (tun->fd >= 0)
		close(tun->fd);
	if (tun->statistics)
		fclose(tun->statistics);
	*tun = (struct tun){ .fd = -1 };
}

uint64_t tun_drops(struct tun *tun)
{
	char line[512], name[IFNAMSIZ + 1];
	uint64_t drops = 0;

	rewind(tun->statistics);
	while (fgets(line, sizeof(line), tun->statistics)) {
		unsigned long value;
		int numbers;

		if (sscanf(line, " %16[^:]:%n", name, &numbers) != 1 ||
		    strcmp(name, tun->device) != 0)
			continue;
		/* eight columns of what was received, then bytes, packets, errors, drops */
		if (sscanf(line + numbers, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu",
			   &value) == 1)
			drops = value;
	}
	return drops;
}
