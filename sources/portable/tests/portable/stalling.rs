//! What a workload does to be judged late or not at all: stalled memory, and a filter of its own.

use super::Recorder;
use super::allow;
use super::names;
use super::run;

const PYTHON: &str = "/usr/bin/python3";

/// Eight threads let us read paths from memory that is only there when they want it to be; a ninth
/// goes on meanwhile. Where the kernel lets nobody stall others so, there is nothing to hold.
#[test]
fn stalled_memory_holds_up_nobody_else() {
    let script = format!(
        "import ctypes, fcntl, os, signal, struct, sys, threading; signal.alarm(120)\n\
         libc=ctypes.CDLL(None,use_errno=True); libc.mmap.restype=ctypes.c_void_p\n\
         fault=libc.syscall({},os.O_CLOEXEC)\n\
         if fault<0: assert ctypes.get_errno()==1; sys.exit(77)\n\
         fcntl.ioctl(fault,0xc018aa3f,struct.pack('QQQ',0xaa,0,0))\n\
         start=libc.mmap(None,8*4096,3,0x22,-1,0)\n\
         fcntl.ioctl(fault,0xc020aa00,struct.pack('QQQQ',start,8*4096,1,0))\n\
         def stall(page): \n  \
         got=libc.open(ctypes.c_void_p(start+page*4096),0)\n  \
         ended.append((got,ctypes.get_errno()))\n\
         ended=[]; threads=[threading.Thread(target=stall,args=(page,)) for page in range(8)]\n\
         for thread in threads: thread.start()\n\
         for thread in threads: assert len(os.read(fault,32))==32\n\
         for number in range(100): os.close(os.open('/etc/hostname',os.O_RDONLY))\n\
         assert ended==[]\n\
         fcntl.ioctl(fault,0xc020aa04,struct.pack('QQQQ',start,8*4096,0,0))\n\
         for thread in threads: thread.join()\n\
         assert ended==[(-1,2)]*8, ended",
        libc::SYS_userfaultfd
    );
    let status = run(&Recorder::new(allow), &[PYTHON, "-c", &script]).unwrap();
    let may_stall = std::fs::read_to_string("/proc/self/status").unwrap().contains("\nUid:\t0");
    assert!(status == 0 || status == 77 && !may_stall, "{status}");
}

/// The strictest answer of all filters counts, so one that allows everything allows nothing.
#[test]
fn a_filter_of_the_workloads_own_takes_nothing_back() {
    let agent = Recorder::new(|event| names(event, "/etc/hostname"));
    let script = "import ctypes, struct\n\
         libc=ctypes.CDLL(None,use_errno=True)\n\
         allow=ctypes.create_string_buffer(struct.pack('HBBI',6,0,0,0x7fff0000),8)\n\
         program=struct.pack('HxxxxxxQ',1,ctypes.addressof(allow))\n\
         assert libc.prctl(38,1,0,0,0)==0 and libc.prctl(22,2,program,0,0)==0\n\
         open('/etc/passwd').close()\n\
         try: open('/etc/hostname'); assert 0\n\
         except PermissionError as e: assert e.errno==1";
    assert_eq!(run(&agent, &[PYTHON, "-c", script]).unwrap(), 0);
}
