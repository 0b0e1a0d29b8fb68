import CLinux
import Engine
import EventLoop
import Primitives
import TLS

extension Worker where Engine: ~Copyable {
    /// Carries out a list that speaks of no received bytes.
    mutating func carryOut() { carryOut(from: ByteView(base: receiveRoom, count: 0)) }

    /// Carries the list out to its end, and then what the console wants. `bytes` are what relays speak of.
    @inline(__always)
    mutating func carryOut(from bytes: ByteView) {
        perform(from: bytes)
        serveConsole()
        if engine.hasSideJobs { giveSideJobs() }
    }

    /// To the helpers, or to the resolver.
    @inline(never)
    private mutating func giveSideJobs() {
        var others: [NumberedSideJob] = []
        for job in engine.takeSideJobs() {
            guard case .hostName(let address) = job.job else {
                others.append(job)
                continue
            }
            resolver.askHost(address, for: job.number, now: now)
            if resolver.hasHosts { followUps.append(FollowUp(kind: .news, link: 0)) }
        }
        helpers.give(others)
    }

    @inline(__always)
    private mutating func perform(from bytes: ByteView) {
        var index = 0
        let count = actions.count
        while index < count {
            switch actions[index] {
            case .relay(let range, let link): put(bytes.slice(Int(range.offset), Int(range.count)), to: link)
            case .send(let range, let link): put(actions.scratch.view(range), to: link)
            case .pauseReading(let link): connection(link)?.pointee.flags.insert(.paused)
            case .resumeReading(let link): resumeReading(link)
            default: performRarely(actions[index])
            }
            index &+= 1
        }
        flush()
    }

    @inline(never)
    private mutating func performRarely(_ action: Action) {
        switch action {
        case .relay, .send, .pauseReading, .resumeReading: return
        case .open(let server, let host, let port): open(server, actions.endpoint(host, port))
        case .startTLS(let link, let host, let isDirect):
            flush()
            startTLS(link, ByteString(actions.scratch.view(host)), isDirect: isDirect)
        case .close(let link):
            flush()
            sayGoodbye(link)
            close(link, delivering: true)
        case .drop(let link):
            flush()
            close(link, delivering: false)
        case .log(let level, let range): write(level, actions.scratch.view(range))
        case .stopListening(let scope): listeners.stop(scope)
        case .reload(let console):
            let link = console.map { LinkID.client($0).packed } ?? 0
            followUps.append(FollowUp(kind: .reload, link: link))
        case .handOver(let console, let withSockets, let withState):
            flush()
            handOver(to: .client(console), withSockets: withSockets, withState: withState)
        case .exit: isExiting = true
        case .post(let index, let worker): put(actions[index], to: worker)
        case .part(let link, let index, let worker):
            flush()
            part(link, actions[index], to: worker)
        case .adopt(let link): adopt(link)
        }
    }

    /// Console commands look at the whole engine, so they are answered here, after the event that brought
    /// them.
    @inline(__always)
    private mutating func serveConsole() {
        guard engine.hasConsoleWork else { return }
        actions.removeAll()
        engine.serveConsole(now: now, into: &actions)
        perform(from: ByteView(base: receiveRoom, count: 0))
        if let changed = engine.takeChangedSettings() { adopt(changed) }
    }

    private mutating func write(_ level: LogLevel, _ text: ByteView) {
        switch level {
        case .fatal: log.write(.fatal, text)
        case .error: log.write(.error, text)
        case .warning: log.write(.warning, text)
        case .log: log.write(.log, text)
        case .debug: log.write(.debug, text)
        case .noise: log.write(.noise, text)
        }
    }

    // MARK: Ends

    /// The world ended a link: its socket is closed, and the engine is told.
    @inline(never)
    mutating func end(_ link: LinkID, _ how: LinkEnd) {
        guard let place = connection(link) else { return }
        settleRequests(place)
        vacate(link, place)
        _ = linux_close(place.pointee.descriptor)
        listeners.descriptorIsFree(now)
        if let owed = place.pointee.owed { blocks.give(owed) }
        place.pointee.owed = nil
        actions.removeAll()
        engine.ended(link, how, now: now, into: &actions)
        carryOut()
    }

    /// The engine ended a link: its handle is dead, and its socket lives on only to deliver what is owed.
    @inline(never)
    private mutating func close(_ link: LinkID, delivering: Bool) {
        guard let place = connection(link) else { return }
        settleRequests(place)
        let descriptor = place.pointee.descriptor
        let flags = place.pointee.flags
        vacate(link, place)
        if flags.contains(.opening) {
            openings[link.packed] = nil
        } else if delivering, !flags.meets(.broken), !flags.meets(.forgotten),
            lingering.take(descriptor, owed: place.pointee.owed, poller, now)
        {
            place.pointee.owed = nil
            return
        }
        if let owed = place.pointee.owed { blocks.give(owed) }
        place.pointee.owed = nil
        if descriptor >= 0 { _ = linux_close(descriptor) }
        listeners.descriptorIsFree(now)
    }

    /// From here on nobody lives in this slot. The descriptor and what is owed are still to be dealt with.
    mutating func vacate(_ link: LinkID, _ place: UnsafeMutablePointer<Connection>) {
        if place.pointee.flags.meets(.armed) {
            makeRoom()
            ring.cancel(word: link.packed)
        }
        place.pointee.generation &+= 1
        if let kept = place.pointee.kept { blocks.give(kept) }
        place.pointee.kept = nil
        place.pointee.stream?.free()
        place.pointee.stream = nil
    }
}
