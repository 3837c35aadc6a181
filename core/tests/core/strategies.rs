//! Arbitrary events, made from the event table.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tsem::Address;
use tsem::Cell;
use tsem::Coe;
use tsem::Digest;
use tsem::EventKind;
use tsem::FieldType;
use tsem::File;
use tsem::Ipc;
use tsem::Place;
use tsem::Port;
use tsem::Socket;
use tsem::Target;
use tsem::Value;

pub(crate) fn digests() -> impl Strategy<Value = Digest> {
    prop_oneof![Just(Digest::ZERO), any::<[u8; 32]>().prop_map(Digest)]
}

pub(crate) fn coes() -> impl Strategy<Value = Coe> {
    let id = || prop_oneof![Just(0), Just(u32::MAX), any::<u32>()];
    let capabilities = prop_oneof![Just(0), Just((1 << 41) - 1), any::<u64>()];
    ([id(), id(), id(), id()], [id(), id(), id(), id()], capabilities).prop_map(
        |([uid, euid, suid, fsuid], [gid, egid, sgid, fsgid], capabilities)| Coe {
            uid,
            euid,
            suid,
            fsuid,
            gid,
            egid,
            sgid,
            fsgid,
            capabilities,
        },
    )
}

pub(crate) fn cells() -> impl Strategy<Value = Cell> {
    select(EventKind::ALL).prop_flat_map(|kind| {
        let fields: Vec<_> = kind.spec().fields.iter().map(|f| value(&f.field_type)).collect();
        fields.prop_map(move |values| Cell { kind, values })
    })
}

fn value(kind: &FieldType) -> BoxedStrategy<Value> {
    match kind {
        FieldType::Number64 | FieldType::Flags64(_) => any::<u64>().prop_map(Value::Number).boxed(),
        FieldType::Text => octets().prop_map(Value::Text).boxed(),
        FieldType::Path => places().prop_map(Value::Path).boxed(),
        FieldType::File => files().prop_map(Value::from).boxed(),
        FieldType::OptionalFile => {
            prop_oneof![Just(Value::NoFile), files().prop_map(Value::from)].boxed()
        }
        FieldType::Socket => sockets().prop_map(Value::Socket).boxed(),
        FieldType::Address => addresses().prop_map(Value::Address).boxed(),
        FieldType::Task => targets().prop_map(Value::Task).boxed(),
        FieldType::Ipc => ipcs().prop_map(Value::Ipc).boxed(),
        FieldType::Digest => digests().prop_map(Value::Digest).boxed(),
        FieldType::Number32 | FieldType::Mode | FieldType::Flags(_) | FieldType::Choice(_) => {
            any::<u32>().prop_map(|number| Value::Number(number.into())).boxed()
        }
    }
}

fn octets() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..24),
        vec(b' '..=b'~', 0..24),
        "[@/a-z{}\" ]{0,12}".prop_map(String::into_bytes),
        (4000..=tsem::TEXT_MAX).prop_map(|length| vec![b'x'; length]),
    ]
}

fn places() -> impl Strategy<Value = Place> {
    let file_system = prop_oneof![Just(0xef53), any::<u32>()];
    (octets(), file_system, any::<bool>(), digests()).prop_map(
        |(path, file_system, generalised, maker)| {
            let path = path.into_iter().filter(|octet| *octet != 0).collect();
            Place { path, file_system, generalised, maker }
        },
    )
}

fn files() -> impl Strategy<Value = File> {
    (places(), any::<[u32; 3]>(), digests(), any::<bool>()).prop_map(
        |(place, numbers, content, referred)| {
            let file = File::new(place, numbers, content);
            if referred { File { digest: Digest::ZERO, reference: content, ..file } } else { file }
        },
    )
}

fn sockets() -> impl Strategy<Value = Socket> {
    let number = || prop_oneof![0..20_u32, any::<u32>()];
    [number(), number(), number()].prop_map(|[family, socket_type, protocol]| Socket {
        family,
        socket_type,
        protocol,
    })
}

fn ipcs() -> impl Strategy<Value = Ipc> {
    any::<[u32; 5]>().prop_map(|[uid, gid, creator_uid, creator_gid, mode]| Ipc {
        uid,
        gid,
        creator_uid,
        creator_gid,
        mode,
    })
}

fn targets() -> impl Strategy<Value = Target> {
    prop_oneof![Just(Target::Outside), Just(Target::Own), digests().prop_map(Target::Task)]
}

fn ports() -> impl Strategy<Value = Port> {
    prop_oneof![Just(Port::Ephemeral), any::<u16>().prop_map(Port::Exact)]
}

fn addresses() -> impl Strategy<Value = Address> {
    prop_oneof![
        Just(Address::None),
        Just(Address::Any),
        (any::<[u8; 4]>(), ports()).prop_map(|(host, port)| Address::Inet(host, port)),
        (any::<[u8; 16]>(), ports()).prop_map(|(host, port)| Address::Inet6(host, port)),
        (any::<[u8; 4]>(), ports()).prop_map(|(host, port)| Address::Inet6(mapped(host), port)),
        places().prop_map(Address::UnixPath),
        octets().prop_map(Address::UnixAbstract),
        any::<u32>().prop_map(Address::Netlink),
        networks(),
        (any::<u16>(), vec(any::<u8>(), 0..=128)).prop_map(|(f, rest)| Address::Other(f, rest)),
    ]
}

fn mapped(host: [u8; 4]) -> [u8; 16] {
    std::net::Ipv4Addr::from(host).to_ipv6_mapped().octets()
}

fn networks() -> impl Strategy<Value = Address> {
    let four = (any::<u32>(), 0..=32_u8).prop_map(|(host, prefix)| {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        ((host & mask).to_be_bytes().to_vec(), prefix)
    });
    let sixteen = (any::<u128>(), 0..=128_u8).prop_map(|(host, prefix)| {
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
        ((host & mask).to_be_bytes().to_vec(), prefix)
    });
    (prop_oneof![four, sixteen], ports()).prop_map(|((network, prefix), port)| Address::Network {
        network,
        prefix,
        port,
    })
}
