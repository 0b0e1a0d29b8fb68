import CLinux
import EventLoop
import Primitives

/// Why the process cannot start; logged as FATAL, and the exit status is 1.
struct StartFailure: Error {
    var text: String
}

extension Listeners {
    /// Addresses of one name that are listened on.
    private static var addressLimit: Int { 64 }

    /// Opens what the configuration names, or takes what the service manager passes.
    mutating func open(_ settings: ProcessSettings, _ log: inout Log) throws(StartFailure) {
        if takePassedSockets(settings, &log) { return }
        var wanted = 0
        var opened = 0
        for host in settings.listenAddresses where !host.isEmpty {
            wanted += 1
            opened += try openInternet(host, settings, &log)
        }
        if wanted > 0, opened == 0 {
            let list = settings.listenAddresses.map(\.lossyText).joined(separator: ",")
            throw StartFailure(text: "failed to listen on any address in listen_addr list: \(list)")
        }
        if !settings.unixSocketDirectory.isEmpty { try openUnix(settings, &log) }
        if isEmpty { throw StartFailure(text: "nowhere to listen on") }
    }

    /// Takes over the sockets of the process before.
    mutating func take(_ estate: Estate, _ settings: ProcessSettings, _ log: inout Log) {
        let path = UnixPath.path(directory: settings.unixSocketDirectory, port: settings.listenPort)
        for (descriptor, isUnix) in estate.listeners {
            _ = linux_never_block(descriptor)
            var local = linux_address()
            _ = linux_local_address(descriptor, &local)
            let address = isUnix ? "unix:\(path.lossyText)" : printed(local)
            log.write(.log, "got pooler socket: \(address)")
            add(Listener(descriptor: descriptor, isUnix: isUnix, path: isUnix ? path : ""))
        }
    }

    // MARK: TCP

    /// The number of addresses that work.
    private mutating func openInternet(
        _ host: ByteString, _ settings: ProcessSettings, _ log: inout Log
    ) throws(StartFailure) -> Int {
        var found = [linux_address](repeating: linux_address(), count: Self.addressLimit)
        let room = Int32(Self.addressLimit)
        let count = found.withUnsafeMutableBufferPointer { buffer in
            host.withCString { linux_resolve($0, settings.listenPort, buffer.baseAddress, room) }
        }
        guard count >= 0 else {
            let reason = linux_resolve_error(count).map { String(cString: $0) } ?? ""
            log.write(
                .fatal, "getaddrinfo('\(host.lossyText)', '\(settings.listenPort)') = \(reason) [\(count)]")
            return 0
        }
        var opened = 0
        for address in found.prefix(Int(count)) {
            let (descriptor, step, error) = Self.listen(address, settings)
            if error == 0 {
                add(Listener(descriptor: descriptor, isUnix: false))
                log.write(.log, "listening on \(printed(address))")
                opened += 1
            } else {
                log.write(
                    .warning, "cannot listen on \(printed(address)): \(step)(): \(errorText(error).lossyText)"
                )
            }
        }
        return opened
    }

    private static func listen(
        _ address: linux_address, _ settings: ProcessSettings
    ) -> (descriptor: Int32, step: String, error: Int32) {
        let created = linux_stream_socket(address.family)
        guard let socket = Socket(result: created) else {
            return (-1, "socket", Int32(truncatingIfNeeded: -created))
        }
        _ = linux_reuse_address(socket.descriptor)
        if settings.reusePort { _ = linux_reuse_port(socket.descriptor) }
        if address.family == UInt32(LINUX_IPV6) { _ = linux_only_ipv6(socket.descriptor) }
        let bound = withUnsafePointer(to: address) { linux_bind_internet(socket.descriptor, $0) }
        guard bound == 0 else { return (-1, "bind", Int32(truncatingIfNeeded: -bound)) }
        if settings.deferAccept { _ = linux_defer_accept(socket.descriptor, Self.deferSeconds) }
        let listening = linux_listen(socket.descriptor, settings.listenBacklog)
        guard listening == 0 else { return (-1, "listen", Int32(truncatingIfNeeded: -listening)) }
        return (socket.release(), "", 0)
    }

    // MARK: Unix sockets

    private mutating func openUnix(_ settings: ProcessSettings, _ log: inout Log) throws(StartFailure) {
        let path = UnixPath.path(directory: settings.unixSocketDirectory, port: settings.listenPort)
        let isFile = path.bytes.first != 0x40
        if isFile { try Self.clearWay(path, settings.listenPort, &log) }
        guard let socket = Socket(result: linux_stream_socket(UInt32(LINUX_UNIX))) else {
            throw StartFailure(text: "failed to create unix socket")
        }
        let bound = path.withCString { linux_bind_unix(socket.descriptor, $0, path.count) }
        if bound == -Int(linux_in_use) { throw StartFailure(text: "unix socket is in use, cannot continue") }
        guard bound == 0 else {
            let reason = errorText(Int32(truncatingIfNeeded: -bound)).lossyText
            log.write(.warning, "cannot listen on unix:\(path.lossyText): bind(): \(reason)")
            throw StartFailure(text: "failed to create unix socket")
        }
        if isFile { try Self.protect(path, settings) }
        let listening = linux_listen(socket.descriptor, settings.listenBacklog)
        guard listening == 0 else { throw StartFailure(text: "failed to create unix socket") }
        add(Listener(descriptor: socket.release(), isUnix: true, path: isFile ? path : ""))
        log.write(.log, "listening on unix:\(path.lossyText)")
    }

    /// Removes a socket that nobody listens on any more.
    private static func clearWay(_ path: ByteString, _ port: UInt16, _ log: inout Log) throws(StartFailure) {
        guard path.withCString({ linux_path_is_socket($0) }) != 0 else {
            return try respectLock(of: path, port)
        }
        guard let probe = Socket(result: linux_stream_socket(UInt32(LINUX_UNIX))) else {
            throw StartFailure(text: "failed to create unix socket")
        }
        let answer = path.withCString { linux_connect_unix(probe.descriptor, $0, path.count) }
        guard answer == -Int(linux_refused) || answer == -Int(linux_not_found) else {
            throw StartFailure(text: "unix socket is in use, cannot continue")
        }
        try respectLock(of: path, port)
        _ = path.withCString { linux_unlink($0) }
    }

    /// PostgreSQL locks the name of its socket with a file beside it: the port is its own, or was when it
    /// crashed.
    private static func respectLock(of path: ByteString, _ port: UInt16) throws(StartFailure) {
        let lock = ByteString(path.bytes + Array(".lock".utf8))
        guard lock.withCString({ linux_path_exists($0) }) == 0 else {
            throw StartFailure(text: "unix port \(port) is in use")
        }
    }

    /// Mode and group are in force before the first client can connect.
    private static func protect(_ path: ByteString, _ settings: ProcessSettings) throws(StartFailure) {
        if !settings.unixSocketGroup.isEmpty {
            let result = path.withCString { path in
                settings.unixSocketGroup.withCString { linux_change_group(path, $0) }
            }
            guard result == 0 else {
                let reason = errorText(Int32(truncatingIfNeeded: -result)).lossyText
                throw StartFailure(
                    text:
                        "unix_socket_group '\(settings.unixSocketGroup.lossyText)': \(reason)"
                )
            }
        }
        let result = path.withCString { linux_change_mode($0, settings.unixSocketMode) }
        guard result == 0 else { throw StartFailure(text: "failed to create unix socket") }
    }

    // MARK: Sockets passed by the service manager

    private mutating func takePassedSockets(_ settings: ProcessSettings, _ log: inout Log) -> Bool {
        guard let owner = linux_environment("LISTEN_PID"), let number = linux_environment("LISTEN_FDS"),
            Int32(String(cString: owner)) == linux_process_id(), let count = Int32(String(cString: number)),
            count > 0, count <= 64
        else { return false }
        for descriptor in 3..<(3 + count) where linux_is_socket(descriptor) != 0 {
            _ = linux_keep_from_children(descriptor)
            var local = linux_address()
            guard linux_local_address(descriptor, &local) == 0 else { continue }
            add(Listener(descriptor: descriptor, isUnix: local.family == UInt32(LINUX_UNIX)))
            log.write(.log, "socket passed from service manager (fd \(descriptor))")
        }
        if isEmpty { return false }
        if settings.listenAddresses.contains(where: { !$0.isEmpty }) {
            log.write(.warning, "sockets passed from service manager, cf_listen_addr ignored")
        }
        if !settings.unixSocketDirectory.isEmpty {
            log.write(.warning, "sockets passed from service manager, cf_unix_socket_dir ignored")
        }
        return true
    }
}
