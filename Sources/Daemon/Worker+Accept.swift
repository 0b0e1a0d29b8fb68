import CLinux
import Engine
import EventLoop
import Primitives

extension Worker where Engine: ~Copyable {
    /// Clients taken from one listener before others get their turn.
    private static var acceptBatch: Int { 64 }

    mutating func acceptClients(_ listener: Int) {
        for _ in 0..<Self.acceptBatch {
            guard let descriptor = listeners.descriptor(of: listener) else { return }
            var peer = linux_address()
            let result = linux_accept(descriptor, &peer)
            if let socket = Socket(result: result) {
                accept(socket, peer, listener)
                settle()
                if isExiting { return }
                continue
            }
            switch Int32(truncatingIfNeeded: -result) {
            case linux_again: return
            case linux_no_files, linux_no_files_at_all, linux_no_memory, linux_no_buffers:
                return standBack(Int32(truncatingIfNeeded: -result), descriptor)
            default: continue  // that one client is gone already
            }
        }
    }

    private mutating func accept(_ socket: consuming Socket, _ peer: linux_address, _ listener: Int) {
        var peer = SocketAddress(peer)
        var local = SocketAddress(family: .unix)
        if peer.family == .unix {
            peer.port = settings.listenPort
            local.port = settings.listenPort
        } else {
            settings.sockets.apply(to: socket.descriptor)
            var address = linux_address()
            _ = linux_local_address(socket.descriptor, &address)
            local = SocketAddress(address)
        }
        if let worker = engine.workerForNewClient(from: peer) {
            let baggage = Baggage(descriptor: socket.release())
            return put(.client(ClientParcel(peer: peer, local: local)), baggage, to: worker)
        }
        actions.removeAll()
        if let client = engine.accepted(peer: peer, local: local, now: now, into: &actions) {
            let link = LinkID.client(client)
            let place = clients.settle(client.handle)
            place.pointee.descriptor = socket.release()
            let watched = watch(link, place)
            if watched != 0 {
                let error = Int32(truncatingIfNeeded: -watched)
                followUps.append(FollowUp(kind: .ended, error: error, link: link.packed))
            }
        }
        carryOut()
    }

    /// No descriptor is left: one client is told so, with the descriptor kept for that; the others wait a
    /// while.
    private mutating func standBack(_ error: Int32, _ descriptor: Int32) {
        log.write(.error, "accept() failed: \(errorText(error).lossyText)")
        listeners.refuseOne(descriptor)
        listeners.pause(poller, until: now + .milliseconds(250))
    }

    // MARK: Configuration

    /// Reads the configuration again and tells the engine; nothing changes when it is wrong (I12).
    mutating func reloadConfiguration(for console: UInt64) {
        var asker: ClientID?
        if console != 0, case .client(let client) = LinkID(packed: console),
            clients.find(client.handle) != nil
        {
            asker = client
        }
        if console == 0 { ServiceManager.tell(ServiceManager.reloading(now)) }
        let loaded = reload(settings.configuration)
        actions.removeAll()
        switch loaded {
        case .accepted(let snapshot, let fresh, let warnings):
            for warning in warnings { log.write(.warning, warning) }
            adopt(fresh)
            engine.reloaded(snapshot, for: asker, now: now, into: &actions)
        case .refused(let errors):
            for error in errors { log.write(.error, error) }
            log.write(.warning, "config file loading failed")
            reopenLog()
            engine.reloadFailed(for: asker, now: now, into: &actions)
        }
        carryOut()
        if console == 0 { ServiceManager.tell("READY=1\n") }
    }

    /// Puts into force what may change while we run. Listening sockets, the user and the pidfile stay.
    mutating func adopt(_ fresh: ProcessSettings) {
        settings.sockets = fresh.sockets
        settings.configuration = fresh.configuration
        if fresh.deferAccept != settings.deferAccept {
            settings.deferAccept = fresh.deferAccept
            listeners.deferAccept(fresh.deferAccept)
        }
        settings.logFile = fresh.logFile
        log.format = fresh.logFormat
        resolver.lifetime = fresh.nameLifetime
        resolver.missingLifetime = fresh.missingNameLifetime
        resolver.checkZones(every: fresh.zoneCheckPeriod, now: now)
        if resolver.hasNews { followUps.append(FollowUp(kind: .news, link: 0)) }
        if fresh.usesSyslog {
            log.useSyslog(ident: fresh.syslogIdent, facility: fresh.syslogFacility)
        } else {
            log.stopSyslog()
        }
        reopenLog()
        tellMates(fresh)
    }

    /// Follows a rotated log file; while that fails the old one is used on.
    private mutating func reopenLog() {
        guard !settings.logFile.isEmpty else { return log.closeFile() }
        let error = log.openFile(settings.logFile)
        guard error != 0 else { return }
        log.write(
            .error, "could not open log file \"\(settings.logFile.lossyText)\": \(errorText(error).lossyText)"
        )
    }
}
