//! Tests of the logging sources on made-up roots. They refuse the machine's own configuration.

use super::*;
use crate::model::watch::LogReader;

/// A root with files; parents are made.
struct Made(tempfile::TempDir);

impl Made {
    fn new() -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        made.put("proc/self/mountinfo", "1 0 0:20 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        made
    }

    fn put(&self, path: &str, text: &str) {
        let file = self.0.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// A daemon that runs in its unit.
    fn runs(&self, unit: &str, comm: &str, pid: u32) {
        self.put(&format!("sys/fs/cgroup/system.slice/{unit}/cgroup.procs"), &format!("{}\n{pid}\n", pid - 1));
        self.put(
            &format!("proc/{}/stat", pid - 1),
            &format!("{} (sh) S 1 2 2 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 11 0", pid - 1),
        );
        self.put(&format!("proc/{pid}/stat"), &format!("{pid} ({comm}) S 1 2 2 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 55 0"));
    }

    fn host(&self) -> Host {
        Host::new(self.0.path()).unwrap()
    }

    fn read(&self) -> Logging {
        match read(&self.host()) {
            Reading::Fresh { value, .. } => value,
            other => panic!("{other:?}"),
        }
    }

    fn rsyslog(&self, text: &str) -> SyslogDaemon {
        self.put("etc/rsyslog.conf", text);
        let mut daemon = SyslogDaemon { unit: "rsyslog.service".to_owned(), ..SyslogDaemon::default() };
        rsyslog::read(&self.host(), "/etc/rsyslog.conf", rsyslog::Dialect::Rsyslog, &mut daemon).unwrap();
        daemon
    }
}

fn files(daemon: &SyslogDaemon) -> Vec<String> {
    daemon.files.iter().map(|file| format!("{}{}", file.path, if file.synced { " synced" } else { "" })).collect()
}

const DEBIAN: &str = r#"# /etc/rsyslog.conf configuration file for rsyslog
module(load="imuxsock") # provides support for local system logging
module(load="imklog")   # provides kernel logging support
#module(load="imudp")
#input(type="imudp" port="514")
$FileOwner root
$IncludeConfig /etc/rsyslog.d/*.conf
*.*;auth,authpriv.none		-/var/log/syslog
auth,authpriv.*			/var/log/auth.log
mail.*				-/var/log/mail.log
*.emerg				:omusrmsg:*
"#;

const RHEL: &str = r#"global(workDirectory="/var/lib/rsyslog")
module(load="builtin:omfile" Template="RSYSLOG_TraditionalFileFormat")
module(load="imuxsock"    # provides support for local system logging (e.g. via logger command)
       SysSock.Use="off") # Turn off message reception via local log socket;
                          # local messages are retrieved through imjournal now.
module(load="imjournal"             # provides access to the systemd journal
       UsePid="system" FileCreateMode="0644" StateFile="imjournal.state")
include(file="/etc/rsyslog.d/*.conf" mode="optional")
#kern.*                                                 /dev/console
*.info;mail.none;authpriv.none;cron.none                /var/log/messages
authpriv.*                                              /var/log/secure
mail.*                                                  -/var/log/maillog
*.emerg                                                 :omusrmsg:*
#action(type="omfwd" queue.filename="fwdRule1" Target="remote_host" Port="XXX" Protocol="tcp")
"#;

#[test]
fn the_configurations_of_debian_and_rhel() {
    let made = Made::new();
    let debian = made.rsyslog(DEBIAN);
    assert_eq!(files(&debian), ["/var/log/syslog", "/var/log/auth.log", "/var/log/mail.log"]);
    assert_eq!(
        (debian.inputs.join(" "), debian.reads_socket, debian.reads_journal),
        ("imuxsock imklog".to_owned(), true, false)
    );
    assert_eq!(debian.files[1].from, "/etc/rsyslog.conf:9");
    assert!(debian.sends.is_empty() && debian.listens.is_empty());
    let rhel = made.rsyslog(RHEL);
    assert_eq!(files(&rhel), ["/var/log/messages", "/var/log/secure", "/var/log/maillog"]);
    assert_eq!((rhel.reads_socket, rhel.reads_journal), (false, true));
    assert!(rhel.sends.is_empty(), "{:?}", rhel.sends);
}

#[test]
fn files_that_are_synced_in_every_dialect() {
    let made = Made::new();
    made.put("etc/rsyslog.d/20-a.conf", "$ActionFileEnableSync on\n*.* /var/log/a\n*.* -/var/log/b\n");
    made.put("etc/rsyslog.d/30-b.conf", "$ActionFileEnableSync off\n*.* /var/log/c;RSYSLOG_FileFormat\n");
    made.put("etc/rsyslog.d/x.txt", "*.* /var/log/no\n");
    let found = made.rsyslog(
        "$IncludeConfig /etc/rsyslog.d/*.conf\n\
         if $programname == 'x' then {\n  action(type=\"omfile\" file=\"/var/log/d\"\n    sync=\"on\")\n  stop\n}\n\
         :msg, contains, \"a /var/log/quoted\"   /var/log/e\n& stop\n& ~\n\
         local0.* action(type=\"omfile\" dynaFile=\"Dyn\" sync=\"off\")\n\
         if $msg contains 'y' then -/var/log/f\n\
         *.* ?PerHost\n*.* |/dev/xconsole\n*.* /dev/tty8\n",
    );
    assert_eq!(
        files(&found),
        [
            "/var/log/a synced",
            "/var/log/b",
            "/var/log/c",
            "/var/log/d synced",
            "/var/log/e",
            "Dyn",
            "/var/log/f",
            "?PerHost"
        ]
    );
    assert_eq!(found.files[0].from, "/etc/rsyslog.d/20-a.conf:2");
    assert_eq!(found.files[3].from, "/etc/rsyslog.conf:3");
    assert!(found.sends.is_empty(), "{:?}", found.sends);
    let mut syslogd = SyslogDaemon::default();
    made.put("etc/syslog.conf", "*.*;auth.none\t-/var/log/syslog\nauth.*\t/var/log/auth.log\n*.* @loghost\n");
    rsyslog::read(&made.host(), "/etc/syslog.conf", rsyslog::Dialect::Syslogd, &mut syslogd).unwrap();
    assert_eq!(files(&syslogd), ["/var/log/syslog", "/var/log/auth.log synced"]);
    assert_eq!((syslogd.sends, syslogd.reads_socket), (vec!["@loghost".to_owned()], true));
}

#[test]
fn messages_that_go_elsewhere_or_come_from_there() {
    let made = Made::new();
    let found = made.rsyslog(
        "$ModLoad imtcp\n*.* @@logs.example.com:514\n*.* :omrelp:other:2514\n\
         action(type=\"omfwd\" target=\"10.0.0.1\" port=\"514\")\naction(type=\"omelasticsearch\" server=\"es\")\n\
         input(type=\"imudp\" port=\"514\")\n*.* ^/usr/bin/run\n*.* |/run/pipe\n",
    );
    assert_eq!(found.listens, ["imtcp", "imudp"]);
    assert_eq!(
        found.sends,
        [
            "@@logs.example.com:514",
            "omrelp to somewhere",
            "omfwd to 10.0.0.1",
            "omelasticsearch",
            "^/usr/bin/run",
            "|/run/pipe"
        ]
    );
    made.put("etc/rsyslog.d/a.conf", "$IncludeConfig /etc/rsyslog.d/*.conf\n");
    made.put("etc/rsyslog.conf", "$IncludeConfig /etc/rsyslog.d/*.conf\n");
    let mut daemon = SyslogDaemon::default();
    let why = rsyslog::read(&made.host(), "/etc/rsyslog.conf", rsyslog::Dialect::Rsyslog, &mut daemon).unwrap_err();
    assert!(why.contains("deeper than"), "{why}");
}

#[test]
fn no_text_is_too_odd() {
    let made = Made::new();
    for text in [
        "action(",
        "action(type=\"omfile\" file=\"/x",
        "module(load=\"im",
        "\\",
        "\"\n*.* /var/log/a",
        "& ",
        "$",
        ": /x",
        "é(é) é.é é",
    ] {
        for cut in 0..=text.len() {
            if text.is_char_boundary(cut) {
                made.rsyslog(&text[..cut]);
            }
        }
    }
    for cut in 0..RHEL.len() {
        made.rsyslog(&RHEL[..cut]);
    }
}

#[test]
fn syslog_ng_in_debians_form() {
    let made = Made::new();
    made.put(
        "etc/syslog-ng/syslog-ng.conf",
        "@version: 3.38\n@include \"scl.conf\"\noptions { chain_hostnames(off); };\n\
         source s_src {\n       system();\n       internal();\n};\n\
         # destination d_no { file(\"/var/log/no\"); };\n\
         destination d_auth { file(\"/var/log/auth.log\"); };\n\
         destination d_sync { file(\"/var/log/sync.log\" fsync(yes) perm(0640)); };\n\
         destination d_net { network(\"10.0.0.1\" port(514)); };\n\
         destination d_xconsole { pipe(\"/dev/xconsole\"); };\n\
         log { source(s_src); destination(d_auth); };\n@include \"/etc/syslog-ng/conf.d/*.conf\"\n",
    );
    made.put(
        "etc/syslog-ng/conf.d/a.conf",
        "source s_net { udp(port(514)); };\ndestination d_more { file(\"/var/log/more\"); };\n",
    );
    made.runs("syslog-ng.service", "syslog-ng", 40);
    let logging = made.read();
    let daemon = &logging.daemons[0];
    assert_eq!(files(daemon), ["/var/log/auth.log", "/var/log/sync.log synced", "/var/log/more"]);
    assert_eq!(daemon.files[1].from, "/etc/syslog-ng/syslog-ng.conf:10");
    assert_eq!((daemon.sends.join(";"), daemon.listens.join(";")), ("network 10.0.0.1".to_owned(), "udp".to_owned()));
    assert!(daemon.reads_journal && !daemon.reads_socket);
}

#[test]
fn the_daemon_behind_the_alias_and_who_reads_its_files() {
    let made = Made::new();
    assert_eq!(made.read().daemons, []);
    made.put("etc/rsyslog.conf", DEBIAN);
    made.runs("rsyslog.service", "rsyslogd", 71);
    made.put(".recorded/told/etc/systemd/system/syslog.service", "/lib/systemd/system/rsyslog.service");
    made.put("etc/systemd/system/multi-user.target.wants/rsyslog.service", "");
    made.put(".recorded/told/readers", r#"[{"pid":71,"comm":"rsyslogd","path":"/var/log/syslog"},{"pid":90,"comm":"fluent-bit","path":"/var/log/syslog"}]"#);
    made.put(
        "etc/vector/vector.yaml",
        "# include: /var/log/syslog\nsources:\n  a:\n    include: [\"/var/log/*.log\"]\n",
    );
    made.put("etc/fluent-bit/fluent-bit.conf", "[INPUT]\n  Path /var/log/containers/*.log\n");
    made.put(
        "opt/aws/amazon-cloudwatch-agent/etc/amazon-cloudwatch-agent.json",
        r#"{"file_path":"/var/log/messages"}"#,
    );
    let logging = made.read();
    let daemon = &logging.daemons[0];
    assert_eq!((daemon.pid, daemon.start_ticks, daemon.alias, daemon.enabled), (71, 55, true, true));
    let reader = |who: &str, path: &str, open| LogReader { who: who.to_owned(), path: path.to_owned(), open };
    assert_eq!(
        logging.readers,
        [reader("fluent-bit[90]", "/var/log/syslog", true), reader("/etc/vector/vector.yaml", "/var/log/*.log", false)]
    );
    std::fs::remove_file(made.0.path().join("etc/rsyslog.conf")).unwrap();
    assert!(matches!(read(&made.host()), Reading::Failed { .. }), "a daemon without a configuration is unknown");
}

#[test]
fn a_node_full_of_containers_has_a_long_table_of_mounts() {
    let made = Made::new();
    made.runs("rsyslog.service", "rsyslogd", 71);
    made.put("etc/rsyslog.conf", "*.* /var/log/syslog\n");
    let layers = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/123/fs:".repeat(20);
    let overlay = format!("7 1 0:50 / /run/x rw - overlay overlay rw,lowerdir={layers}\n").repeat(900);
    let table = format!("{overlay}1 0 0:20 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    assert!(table.len() > 1 << 20);
    made.put("proc/self/mountinfo", &table);
    made.put(".recorded/told/readers", "[]");
    assert_eq!(made.read().daemons.len(), 1);
}

#[test]
fn journald_is_set_up_by_the_rules_of_its_manual() {
    let made = Made::new();
    let journal = |made: &Made| made.read().journal;
    let first = journal(&made);
    assert_eq!((first.storage.as_str(), first.persistent, first.forward_to_syslog), ("auto", false, false));
    made.put("etc/os-release", "ID=ubuntu\nID_LIKE=debian\n");
    assert!(journal(&made).forward_to_syslog, "Debian builds it in");
    made.put("usr/lib/systemd/journald.conf", "[Journal]\n#Storage=auto\n#ForwardToSyslog=no\n");
    assert!(!journal(&made).forward_to_syslog, "what the shipped file says goes first");
    made.put("etc/systemd/journald.conf", "[Journal]\nStorage=volatile\nForwardToSyslog=yes\nRateLimitBurst=500\n");
    made.put("usr/lib/systemd/journald.conf.d/50-a.conf", "[Journal]\nForwardToSyslog=no\nStorage=persistent\n");
    made.put(
        "etc/systemd/journald.conf.d/40-b.conf",
        "[Other]\nStorage=none\n[Journal]\nSystemMaxUse=1G\nStorage=none\n",
    );
    made.put("var/log/journal/0123456789abcdef0123456789abcdef/system.journal", "LPKSHHRH");
    let all = journal(&made);
    assert_eq!((all.storage.as_str(), all.persistent, all.forward_to_syslog), ("persistent", true, false));
    assert_eq!(all.forward_from, "/usr/lib/systemd/journald.conf.d/50-a.conf");
    assert_eq!((all.system_max_use.as_str(), all.rate_limit.1.as_str()), ("1G", "500"));
    made.put("etc/systemd/journald.conf.d/50-a.conf", "[Journal]\nStorage=\n");
    let hidden = journal(&made);
    assert_eq!(
        (hidden.storage.as_str(), hidden.forward_to_syslog),
        ("auto", true),
        "a name of a higher directory hides the lower"
    );
    made.put("proc/cmdline", "quiet systemd.journald.forward_to_syslog=0 ro");
    assert_eq!(
        (journal(&made).forward_to_syslog, journal(&made).forward_from.as_str()),
        (false, "the kernel's command line")
    );
}
