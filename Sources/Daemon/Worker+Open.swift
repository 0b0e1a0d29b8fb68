import CLinux
import Engine
import EventLoop
import Primitives

/// A server connection on its way.
struct Opening {
    var port: UInt16
    /// Addresses not tried yet, in order.
    var candidates: ArraySlice<linux_address> = []
    /// Where the connection under way leads.
    var remote = SocketAddress(family: .unix)
    var lastError: Int32 = 0
}

extension Worker where Engine: ~Copyable {
    mutating func open(_ server: ServerID, _ endpoint: Endpoint) {
        let link = LinkID.server(server)
        let place = servers.settle(server.handle)
        place.pointee.flags = .opening
        var opening = Opening(port: endpoint.port)
        if endpoint.isUnix {
            opening.remote.port = endpoint.port
            openings[link.packed] = opening
            return connectUnix(link, place, endpoint)
        }
        var address = linux_address()
        if endpoint.host.withCString({ linux_parse_address($0, &address) }) != 0 {
            address.port = endpoint.port
            opening.candidates = [address]
            openings[link.packed] = opening
            return connectNext(link, place)
        }
        openings[link.packed] = opening
        resolver.ask(endpoint.host, for: link.packed, now: now)
        // Not at once: a list of actions is being carried out.
        if resolver.hasNews { followUps.append(FollowUp(kind: .news, link: 0)) }
    }

    /// The resolver has learned something, whether somebody waits for it or not.
    @inline(never)
    mutating func takeNews() {
        if resolver.hasHosts { takeHosts() }
        guard resolver.hasNews else { return }
        let (notes, moved) = resolver.takeNews()
        for (level, text) in notes { log.write(level, text) }
        actions.removeAll()
        engine.learned(resolver.report, moved: moved, now: now, into: &actions)
        carryOut()
    }

    /// Names of clients' hosts have been looked up.
    private mutating func takeHosts() {
        for (number, name) in resolver.takeHosts() {
            actions.removeAll()
            engine.sideJobDone(
                number, name.map { .text($0) } ?? .failed("no such name"), now: now, into: &actions)
            carryOut()
        }
    }

    /// Names have been looked up.
    mutating func takeNames() {
        for (waiter, addresses) in resolver.takeAnswers() {
            let link = LinkID(packed: waiter)
            // The engine may have given up meanwhile.
            guard let place = connection(link), let port = openings[waiter]?.port else { continue }
            if addresses.isEmpty {
                followUps.append(FollowUp(kind: .openFailed, error: FollowUp.nameLookup, link: waiter))
                continue
            }
            openings[waiter]?.candidates = ArraySlice(
                addresses.map { address in
                    var address = address
                    address.port = port
                    return address
                })
            connectNext(link, place)
        }
    }

    private mutating func connectUnix(
        _ link: LinkID, _ place: UnsafeMutablePointer<Connection>, _ endpoint: Endpoint
    ) {
        let created = linux_stream_socket(UInt32(LINUX_UNIX))
        guard let socket = Socket(result: created) else { return giveUp(link, created) }
        let path = UnixPath.path(directory: endpoint.host, port: endpoint.port)
        let result = path.withCString { linux_connect_unix(socket.descriptor, $0, path.count) }
        guard result == 0 || result == -Int(linux_in_progress) else {
            logFailure(SocketAddress(family: .unix), endpoint.port, result)
            return giveUp(link, result)
        }
        watchOpening(link, place, socket)
    }

    /// Tries the next address, and the one after that when it fails at once.
    private mutating func connectNext(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) {
        while let address = openings[link.packed]?.candidates.popFirst() {
            openings[link.packed]?.remote = SocketAddress(address)
            let created = linux_stream_socket(address.family)
            guard let socket = Socket(result: created) else {
                openings[link.packed]?.lastError = Int32(truncatingIfNeeded: -created)
                continue
            }
            settings.sockets.apply(to: socket.descriptor)
            let result = withUnsafePointer(to: address) { linux_connect_internet(socket.descriptor, $0) }
            if result == 0 || result == -Int(linux_in_progress) { return watchOpening(link, place, socket) }
            openings[link.packed]?.lastError = Int32(truncatingIfNeeded: -result)
            logFailure(SocketAddress(address), address.port, result)
        }
        giveUp(link, -Int(openings[link.packed]?.lastError ?? linux_refused))
    }

    private mutating func watchOpening(
        _ link: LinkID, _ place: UnsafeMutablePointer<Connection>, _ socket: consuming Socket
    ) {
        let watched = poller.add(socket.descriptor, .writable, word: link.packed)
        guard watched == 0 else { return giveUp(link, watched) }
        place.pointee.flags.insert(.watched)
        place.pointee.descriptor = socket.release()
    }

    private mutating func logFailure(_ address: SocketAddress, _ port: UInt16, _ result: Int) {
        let reason = errorText(Int32(truncatingIfNeeded: -result)).lossyText
        let place = address.text(serverPort: port).lossyText
        log.write(.warning, "sbuf_connect failed to connect to \(place): \(reason)")
    }

    private mutating func giveUp(_ link: LinkID, _ result: Int) {
        let error = Int32(truncatingIfNeeded: -result)
        followUps.append(FollowUp(kind: .openFailed, error: error, link: link.packed))
    }

    /// A connection under way has come to a result.
    mutating func finishOpening(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) {
        guard case .server(let server) = link, place.pointee.descriptor >= 0 else { return }
        let descriptor = place.pointee.descriptor
        let result = linux_connect_result(descriptor)
        guard result == 0 else {
            openings[link.packed]?.lastError = Int32(truncatingIfNeeded: -result)
            if let opening = openings[link.packed] { logFailure(opening.remote, opening.port, result) }
            place.pointee.descriptor = -1
            place.pointee.flags.remove(.watched)
            _ = linux_close(descriptor)
            return connectNext(link, place)
        }
        guard let opening = openings.removeValue(forKey: link.packed) else { return }
        place.pointee.flags.remove(.opening)
        if ring.isOn { arm(link, place) }
        updateInterest(link, place)
        var local = linux_address()
        _ = linux_local_address(descriptor, &local)
        actions.removeAll()
        engine.serverOpened(
            server, remote: opening.remote, local: SocketAddress(local), now: now, into: &actions)
        carryOut()
    }

    mutating func failOpening(_ link: LinkID, _ error: Int32) {
        guard case .server(let server) = link, let place = connection(link) else { return }
        openings[link.packed] = nil
        place.pointee.generation &+= 1
        actions.removeAll()
        let failure: OpenFailure = error == FollowUp.nameLookup ? .nameLookup : .connect(error)
        engine.serverFailed(server, failure, now: now, into: &actions)
        carryOut()
    }
}
