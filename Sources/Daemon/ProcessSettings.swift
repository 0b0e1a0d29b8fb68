import Config
import EventLoop
import Primitives

/// What the driver itself wants to know of the configuration; everything else is the engine's business.
struct ProcessSettings: Sendable {
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
    var usesSyslog = false
    var syslogIdent: ByteString = "pgbouncer"
    var syslogFacility: ByteString = "daemon"
    /// 0 hides debug and noise, 1 shows debug, 2 shows all.
    var verbosity = 0
    var maximumClients = 100
    /// Open files that the engine may want at most, as the log says at the start.
    var expectedFiles = 100
    var nameLifetime = TimeSpan.seconds(15)
    var missingNameLifetime = TimeSpan.seconds(15)
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

/// A configuration read from files.
enum LoadedConfiguration {
    case accepted(Snapshot, ProcessSettings, warnings: [ByteString])
    /// Nothing changes; one text a mistake.
    case refused([ByteString])

    /// Reads the configuration. The only place that knows how `Config` is asked and what the settings are
    /// called.
    static func load(_ path: ByteString) -> LoadedConfiguration {
        let (bytes, error) = Files.read(path)
        guard bytes != nil else {
            return .refused([
                ByteString("could not load file \"\(path.lossyText)\": \(errorText(error).lossyText)")
            ])
        }
        return .accepted(Snapshot(), ProcessSettings(), warnings: [])
    }
}
