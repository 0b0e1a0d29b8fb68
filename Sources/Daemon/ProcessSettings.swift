import CLinux
import Config
import EventLoop
import Primitives

/// What the driver itself wants to know of the configuration; everything else is the engine's business.
struct ProcessSettings: Sendable {
    /// The file that the next reload reads; empty for the one of the command line.
    var configuration: ByteString = ""
    var listenAddresses: [ByteString] = ["127.0.0.1"]
    var listenPort: UInt16 = 6432
    var listenBacklog: Int32 = 128
    /// Empty for none.
    var unixSocketDirectory: ByteString = "/tmp"
    var unixSocketMode: UInt32 = 0o777
    var unixSocketGroup: ByteString = ""
    var sockets = SocketOptions()
    var deferAccept = true
    var reusePort = false
    /// Empty for none.
    var logFile: ByteString = ""
    var pidFile: ByteString = ""
    var user: ByteString = ""
    /// PAM is asked, whose modules may need programs with more rights than ours.
    var asksPAM = false
    var logFormat = EventLoop.LogFormat.text
    var usesSyslog = false
    var syslogIdent: ByteString = "pgbouncer"
    var syslogFacility: ByteString = "daemon"
    /// Zero waits for ever.
    var suspendTimeout = TimeSpan.seconds(10)
    /// Threads.
    var workers = 1
    var supervisor = false
    /// Whether bytes move through a ring.
    var ring = UseOfIOUring.no
    var maximumClients = 100
    /// Open files that the engine may want at most, as the log says at the start.
    var expectedFiles = 100
    var nameLifetime = TimeSpan.seconds(15)
    var missingNameLifetime = TimeSpan.seconds(15)
    var security = Security()
    /// Zero never checks.
    var zoneCheckPeriod = TimeSpan.zero
    /// Empty for the system's.
    var resolverConfiguration: ByteString = ""
}

/// What every TCP socket gets.
struct SocketOptions: Sendable {
    var keepAlive = true
    /// 0: as the kernel has it. Also of the next three.
    var probes: Int32 = 0
    var idleSeconds: Int32 = 0
    var intervalSeconds: Int32 = 0
    var userTimeoutMilliseconds: Int32 = 0
    /// 0: as the kernel has it.
    var bufferBytes: Int32 = 0
}

extension ProcessSettings {
    /// What the driver needs of these settings.
    init(_ global: GlobalSettings) {
        configuration = global.conffile ?? ""
        listenAddresses = global.listenAddr
        listenPort = global.listenPort
        listenBacklog = Int32(clamping: global.listenBacklog)
        unixSocketDirectory = global.unixSocketDir
        unixSocketMode = UInt32(clamping: global.unixSocketMode)
        unixSocketGroup = global.unixSocketGroup
        sockets = SocketOptions(
            keepAlive: global.tcpKeepalive, probes: Int32(clamping: global.tcpKeepcnt),
            idleSeconds: Int32(clamping: global.tcpKeepidle),
            intervalSeconds: Int32(clamping: global.tcpKeepintvl),
            userTimeoutMilliseconds: Int32(clamping: global.tcpUserTimeout),
            bufferBytes: Int32(clamping: global.tcpSocketBuffer))
        deferAccept = global.tcpDeferAccept
        reusePort = global.soReuseport
        logFile = global.logfile
        pidFile = global.pidfile
        user = global.user ?? ""
        logFormat =
            switch global.logFormat {
            case .text: .text
            case .json: .json
            }
        usesSyslog = global.syslog
        syslogIdent = global.syslogIdent
        syslogFacility = global.syslogFacility.name
        supervisor = global.supervisor
        suspendTimeout = global.suspendTimeout
        workers = global.workers == 0 ? Processors.count : global.workers
        ring = global.ioUring
        maximumClients = global.maxClientConn
        expectedFiles = global.maxClientConn
        nameLifetime = global.dnsMaxTTL
        missingNameLifetime = global.dnsNXDomainTTL
        zoneCheckPeriod = global.dnsZoneCheckPeriod
        resolverConfiguration = global.resolvConf
    }
}

/// A configuration read from files.
enum LoadedConfiguration {
    case accepted(Snapshot, ProcessSettings, warnings: [ByteString])
    /// Nothing changes; one text a mistake.
    case refused([ByteString])
}

/// Where the configuration comes from: the file of the command line, what the command line adds, and what
/// was in force before. The only place that knows how `Config` is asked.
final class ConfigurationSource {
    private let arguments: Arguments
    private var current: Snapshot?
    let security = Security()

    init(_ arguments: Arguments) { self.arguments = arguments }

    /// Reads the files, from the one of the command line or from another. What only a restart can change
    /// stays as it was at the start.
    func load(_ path: ByteString = "") -> LoadedConfiguration {
        let path = path.isEmpty ? arguments.configuration : path
        let loaded = Snapshot.load(
            path: path, previousSecrets: current?.secrets ?? [:], networks: Interfaces.networks(),
            list: Interfaces.list, read: Self.read)
        switch loaded {
        case .failure(let errors):
            return .refused(errors.errors.map { ByteString($0.text) })
        case .success(let loaded):
            var snapshot = withCommandLine(loaded.snapshot, path)
            var warnings = loaded.notices.map { ByteString($0.text) }
            warnings += FilePermissions.warnings(snapshot).map { ByteString($0) }
            if let current {
                warnings += SnapshotDiff(from: current, to: snapshot).warnings.map { ByteString($0) }
                snapshot = snapshot.keepingStartSettings(of: current)
            }
            if let problem = security.renew(snapshot.global) { return .refused([problem]) }
            current = snapshot
            var settings = ProcessSettings(snapshot.global)
            settings.security = security
            settings.asksPAM = snapshot.global.authType == .pam || snapshot.access.asksPAM
            return .accepted(snapshot, settings, warnings: warnings)
        }
    }

    private func withCommandLine(_ snapshot: Snapshot, _ path: ByteString) -> Snapshot {
        var global = snapshot.global
        global.verbose = max(global.verbose, arguments.verbosity)
        if !arguments.user.isEmpty { global.user = arguments.user }
        if global.conffile == nil { global.conffile = path }
        return snapshot.with(global: global)
    }

    /// Everything there is to say about the files, whether they are good or not.
    func examine() -> Snapshot.Examined {
        Snapshot.examine(
            path: arguments.configuration, networks: Interfaces.networks(), list: Interfaces.list,
            read: Self.read)
    }

    /// What a reload of this file would put in force; nothing changes.
    func preview(_ path: ByteString) -> Result<Snapshot, ConfigErrors> {
        let path = path.isEmpty ? arguments.configuration : path
        return Snapshot.load(
            path: path, previousSecrets: current?.secrets ?? [:], networks: Interfaces.networks(),
            list: Interfaces.list, read: Self.read
        ).map { withCommandLine($0.snapshot, path) }
    }

    private static func read(_ path: ByteString) -> Result<ByteString, FileProblem> {
        let (bytes, error) = Files.read(path)
        guard let bytes else {
            return .failure(FileProblem(errorText(error).lossyText, isMissing: error == linux_not_found))
        }
        return .success(bytes)
    }
}
