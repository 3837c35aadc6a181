// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * TUN devices. The kernel holds the lock of all network configuration in these hooks.
 */
#define TUN_DEV_CREATE 87
#define TUN_DEV_ATTACH_QUEUE 88
#define TUN_DEV_ATTACH 89
#define TUN_DEV_OPEN 90

#define TUN_HOOK(hook, kind)                                                                   \
	SEC("lsm/" #hook)                                                                      \
	int BPF_PROG(full_##hook)                                                              \
	{                                                                                      \
		BEGIN_FULL(kind);                                                              \
		DECIDE_NOW(kind);                                                              \
	}

TUN_HOOK(tun_dev_create, TUN_DEV_CREATE)
TUN_HOOK(tun_dev_attach_queue, TUN_DEV_ATTACH_QUEUE)
TUN_HOOK(tun_dev_open, TUN_DEV_OPEN)

SEC("lsm/tun_dev_attach")
int BPF_PROG(full_tun_dev_attach, struct sock *sk)
{
	BEGIN_FULL(TUN_DEV_ATTACH);
	put_socket(a.s, sk);
	DECIDE_NOW(TUN_DEV_ATTACH);
}
