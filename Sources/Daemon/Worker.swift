import CLinux
import Config
import Engine
import EventLoop
import Primitives
import TLS

/// One worker: waits, hands each event to its engine, carries out what the engine wants to the end, sleeps.
///
/// It owns the sockets, the buffers and the poller of its links; the engine owns every decision. Per query in
/// steady state it makes two `recv`, two `send` and a share of one `epoll_wait`, and allocates nothing.
/// More stored properties than the house likes: everything a thread owns is here, so that nothing is shared.
struct Worker<Engine: EngineSeam & ~Copyable>: ~Copyable {
    var engine: Engine
    var actions = ActionList()
    var now: Instant
    var clients = ConnectionTable()
    var servers = ConnectionTable()
    var blocks = BlockStore()
    var followUps = Ring<FollowUp>(capacity: 64)
    var output = Output()
    var lingering = LingerTable()
    var openings: [UInt64: Opening] = [:]
    var listeners = Listeners()
    var log: Log
    var settings: ProcessSettings
    let poller: Poller
    /// The other way to wait and to move bytes, where the kernel has it.
    var ring: KernelRing
    /// Only one worker of a process takes them.
    let signals: Signals
    let office: PostOffice?
    let resolver: Resolver
    let helpers: Helpers
    let receiveRoom: UnsafeMutableRawPointer
    /// What TLS needs; made for the first link that has it.
    var exchange: TLSExchange?
    /// Reads the configuration again, from this file.
    let reload: (ByteString) -> LoadedConfiguration
    /// `.exit` was asked for.
    var isExiting = false
    /// Another process has our sockets, and may say SHUTDOWN or go away.
    var isHandedOver = false
    /// Letters to be put into mailboxes, by worker, and whether there are any.
    var outbox: [[Mail]]
    var hasMail = false
    /// The socket that came with the letter being dealt with, and what became of it.
    var arrival = Arrival()

    /// Bytes read at once. Larger does not pay: measured from 16 KiB on.
    static var receiveBytes: Int { 32 * 1024 }
    /// The clock is read again after this many events of one wait.
    static var eventsPerClockReading: Int { 64 }
    /// Follow-ups carried out before the poller is looked at again, so that nobody starves.
    private static var followUpBatch: Int { 1024 }

    /// `office` is where letters of several workers go; only the keeper takes signals. `nil` when the kernel
    /// gives no epoll set, or the resolver cannot start.
    init?(
        engine: consuming Engine, settings: ProcessSettings, log: consuming Log, office: PostOffice? = nil,
        reload: @escaping (ByteString) -> LoadedConfiguration
    ) {
        let takesSignals = office.map { $0.me == .keeper } ?? true
        guard let poller = Poller(), let resolver = Resolver(settings), let helpers = Helpers(),
            let signals = takesSignals ? Signals() : Signals.none
        else { return nil }
        self.engine = engine
        self.settings = settings
        self.log = log
        self.reload = reload
        self.poller = poller
        ring = KernelRing(wanted: settings.ring != .no && settings.workers == 1)
        self.signals = signals
        self.office = office
        outbox = Array(repeating: [], count: office?.mailboxes.count ?? 0)
        self.resolver = resolver
        self.helpers = helpers
        now = MonotonicClock.now()
        receiveRoom = .allocate(byteCount: Self.receiveBytes, alignment: 64)
        if takesSignals { self.poller.add(self.signals.descriptor, .readable, word: EventWord.signals.word) }
        if let office {
            self.poller.add(office.mine.descriptor, .readable, word: EventWord.mailbox.word)
        }
        self.poller.add(self.resolver.descriptor, .readable, word: EventWord.resolver.word)
        self.poller.add(self.helpers.descriptor, .readable, word: EventWord.helpers.word)
    }

    deinit { receiveRoom.deallocate() }

    /// Takes clients from these sockets from here on.
    mutating func listen(_ listeners: consuming Listeners) {
        self.listeners = listeners
        self.listeners.watch(poller)
    }

    mutating func run() {
        begin()
        while !isExiting { turn() }
        if ring.isOn { submit() }
    }

    /// One wait and what came of it. `longest` bounds the wait.
    mutating func turn(longest: TimeSpan? = nil) {
        let dueAt = engine.nextDeadline
        var wait = until(dueAt)
        if let longest { wait = min(wait ?? longest, longest) }
        if ring.isOn { turnRing(wait) } else { turnPoller(wait) }
        if isExiting { return }
        passDeadlines(dueAt)
        settle()
        if isHandedOver, !engine.isSuspended { takeBack() }
    }

    /// Neither way is inlined, so that each gets the registers.
    @inline(never)
    mutating func turnPoller(_ wait: TimeSpan?) {
        let count = poller.blockingWaitForWork(wait)
        now = MonotonicClock.now()
        for index in 0..<count {
            let event = poller[index]
            handle(event)
            settle()
            if isExiting { return }
            if index % Self.eventsPerClockReading == Self.eventsPerClockReading - 1 {
                now = MonotonicClock.now()
            }
        }
    }

    @inline(__always)
    private mutating func handle(_ event: Readiness) {
        switch EventWord(event.word) {
        case .link(let link): handle(link, event.what)
        case .listener(let place): acceptClients(place)
        case .lingering(let place, let stamp):
            lingering.handle(place, stamp, event.what, room: receiveRoom, poller, &blocks, now)
        case .signals: takeSignals()
        case .mailbox: takeMail()
        case .resolver:
            resolver.work(now)
            takeNews()
        case .helpers: takeHelp()
        case nil: return
        }
    }

    @inline(__always)
    private mutating func handle(_ link: LinkID, _ what: Interest) {
        // A handle that died earlier in this batch.
        guard let place = connection(link) else { return }
        if place.pointee.flags.meets(.opening) { return finishOpening(link, place) }
        if what.meets(.writable), place.pointee.flags.meets(.writing) {
            writeOwed(link, place)
            guard connection(link) != nil else { return }
        }
        // What the ring receives from, it also tells the end of.
        if what.meets(.anyInput), !place.pointee.flags.meets(.armed) { read(link, place, what) }
    }

    @inline(__always)
    func connection(_ link: LinkID) -> UnsafeMutablePointer<Connection>? {
        switch link {
        case .client(let id): clients.find(id.handle)
        case .server(let id): servers.find(id.handle)
        }
    }

    /// Carries out what came up meanwhile, each as an event of its own, until nothing is left.
    @inline(__always)
    mutating func settle() {
        // Nobody asks for names while no server is being opened. (Fields of a class cost a check each.)
        if !openings.isEmpty, resolver.hasAnswers { takeNames() }
        if followUps.isEmpty { return }
        var rounds = 0
        while !followUps.isEmpty, rounds < Self.followUpBatch, !isExiting {
            follow(followUps.removeFirst())
            if resolver.hasAnswers { takeNames() }
            rounds &+= 1
        }
    }

    private mutating func follow(_ next: FollowUp) {
        if next.kind == .reload { return reloadConfiguration(for: next.link) }
        if next.kind == .mail { return sendMail() }
        if next.kind == .news { return takeNews() }
        let link = LinkID(packed: next.link)
        guard let place = connection(link) else { return }
        switch next.kind {
        case .congested:
            actions.removeAll()
            engine.congested(link, into: &actions)
            carryOut()
        case .ended: end(link, next.error == 0 ? .endOfFile : .failed(next.error))
        case .offer: offerKept(link, place)
        case .openFailed: failOpening(link, next.error)
        case .handshake: beginHandshake(link, place)
        case .noTLS: end(link, .brokenTLS("TLS is not set up"))
        case .reload, .mail, .news: return
        }
    }

    // MARK: Time

    private func until(_ dueAt: Instant?) -> TimeSpan? {
        if !followUps.isEmpty { return .zero }
        var soonest = dueAt ?? .never
        if let deadline = lingering.nextDeadline { soonest = min(soonest, deadline) }
        if let deadline = listeners.resumeAt { soonest = min(soonest, deadline) }
        if let deadline = resolver.nextDeadline { soonest = min(soonest, deadline) }
        return soonest == .never ? nil : soonest.since(now)
    }

    /// `dueAt` is from before the wait: an earlier deadline that came up since ends the next wait at once.
    private mutating func passDeadlines(_ dueAt: Instant?) {
        if let dueAt, dueAt <= now {
            actions.removeAll()
            engine.deadlinePassed(now: now, into: &actions)
            carryOut()
        }
        if let deadline = lingering.nextDeadline, deadline <= now { lingering.sweep(&blocks, now) }
        if let deadline = listeners.resumeAt, deadline <= now { listeners.resume(poller) }
        if let deadline = resolver.nextDeadline, deadline <= now {
            resolver.work(now)
            takeNews()
        }
    }

    // MARK: Helpers

    private mutating func takeHelp() {
        for (number, result) in helpers.takeResults() {
            actions.removeAll()
            engine.sideJobDone(number, result, now: now, into: &actions)
            carryOut()
        }
    }

    // MARK: Signals

    private mutating func takeSignals() {
        while let signal = signals.next() {
            let order: SignalOrder =
                switch signal {
                case .hangUp: .reload
                case .terminate: .shutdownWaitForClients
                case .interrupt: .shutdownWaitForServers
                case .quit: .shutdownNow
                case .user1: .pause
                case .user2: .resume
                }
            if signal == .terminate || signal == .interrupt { ServiceManager.tell("STOPPING=1\n") }
            actions.removeAll()
            engine.signalled(order, now: now, into: &actions)
            carryOut()
        }
    }
}
