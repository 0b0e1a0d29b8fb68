import CAres
import CLinux
import Engine
import EventLoop
import Primitives

/// Looks up names without blocking, with /etc/hosts before the network, and remembers what it found for a
/// while. A name that leads elsewhere when it is looked up again is news, so that servers at the old place
/// can go; so is a zone whose serial number changes, which has all its names looked up again.
///
/// c-ares' sockets are in a poller of their own, which the worker's poller watches as one descriptor.
final class Resolver {
    private struct Answer {
        var addresses: [linux_address]
        var expires: Instant
        /// The address the next asker gets first.
        var turn = 0
    }

    private struct Zone {
        /// `nil` while it is not known.
        var serial: Int64?
    }

    /// One question under way; the callback gets it back.
    private final class Question {
        unowned let resolver: Resolver
        let name: ByteString
        init(_ resolver: Resolver, _ name: ByteString) {
            self.resolver = resolver
            self.name = name
        }
    }

    /// How long a login waits for the name of its host: the resolver itself may try for minutes.
    private static let hostLimit = TimeSpan.seconds(5)
    /// More names than this are not remembered.
    private static let rememberedLimit = 1024

    var lifetime: TimeSpan
    var missingLifetime: TimeSpan
    private var zonePeriod = TimeSpan.zero
    private let poller: Poller
    private var channel: ares_channel?
    private var remembered: [ByteString: Answer] = [:]
    private var zones: [ByteString: Zone] = [:]
    private var waiting: [ByteString: [UInt64]] = [:]
    private var answers: [(waiter: UInt64, addresses: [linux_address])] = []
    private var rememberedHosts: [SocketAddress: (name: ByteString?, expires: Instant)] = [:]
    private var waitingForHosts: [SocketAddress: (waiters: [UInt64], until: Instant)] = [:]
    private var hostAnswers: [(waiter: UInt64, name: ByteString?)] = []
    private var notes: [(Severity, String)] = []
    private var movedHosts: [MovedHost] = []
    private(set) var hasNews = false
    private var zoneQuestions = 0
    private(set) var nextDeadline: Instant?
    private var zoneDeadline: Instant?
    /// The instant of the event under way; callbacks have no other.
    private var now: Instant

    /// `nil` when c-ares cannot start.
    init?(_ settings: ProcessSettings) {
        lifetime = settings.nameLifetime
        missingLifetime = settings.missingNameLifetime
        now = MonotonicClock.now()
        guard let poller = Poller() else { return nil }
        self.poller = poller
        guard ares_library_init(cares_init_all) == 0 else { return nil }
        let owner = Unmanaged.passUnretained(self).toOpaque()
        let watch: ares_sock_state_cb = { owner, descriptor, readable, writable in
            guard let owner else { return }
            Unmanaged<Resolver>.fromOpaque(owner).takeUnretainedValue()
                .watch(Int32(truncatingIfNeeded: descriptor), readable != 0, writable != 0)
        }
        let file = settings.resolverConfiguration
        let opened =
            file.isEmpty
            ? cares_open(&channel, watch, owner, nil)
            : file.withCString { cares_open(&channel, watch, owner, $0) }
        guard opened == 0 else { return nil }
        checkZones(every: settings.zoneCheckPeriod, now: now)
    }

    deinit { if let channel { ares_destroy(channel) } }

    static var version: String { ares_version(nil).map { String(cString: $0) } ?? "" }

    var descriptor: Int32 { poller.descriptor }
    var hasAnswers: Bool { !answers.isEmpty }

    /// Answers that have come, each with who asked; no addresses for a name that does not exist.
    func takeAnswers() -> [(waiter: UInt64, addresses: [linux_address])] {
        defer { answers = [] }
        return answers
    }

    /// Lines for the log, and names that lead elsewhere now.
    func takeNews() -> (notes: [(Severity, String)], moved: [MovedHost]) {
        defer {
            notes = []
            movedHosts = []
            hasNews = false
        }
        return (notes, movedHosts)
    }

    /// What is known, for the console.
    var report: NameReport {
        var report = NameReport()
        report.hosts = remembered.map { name, answer in
            NameReport.Host(
                name: name, expires: answer.expires, addresses: answer.addresses.map { SocketAddress($0) })
        }.sorted { $0.name < $1.name }
        var counts: [ByteString: Int] = [:]
        for name in remembered.keys { if let zone = Self.zone(of: name) { counts[zone, default: 0] += 1 } }
        report.zones = zones.map { name, zone in
            NameReport.Zone(name: name, serial: zone.serial, hosts: counts[name, default: 0])
        }.sorted { $0.name < $1.name }
        report.queries = waiting.count + zoneQuestions
        return report
    }

    // MARK: Names

    /// Asks for a name's addresses. The answer is among `takeAnswers`, perhaps at once.
    func ask(_ name: ByteString, for waiter: UInt64, now: Instant) {
        self.now = now
        if var answer = remembered[name], answer.expires > now {
            answers.append((waiter, Self.rotated(answer.addresses, by: answer.turn)))
            answer.turn &+= 1
            remembered[name] = answer
            return
        }
        lookUp(name, for: waiter)
        planWait()
    }

    /// Looks a name up, for somebody or for nobody in particular.
    private func lookUp(_ name: ByteString, for waiter: UInt64?) {
        let isAsked = waiting[name] != nil
        waiting[name, default: []] += waiter.map { [$0] } ?? []
        if isAsked { return }
        let question = Unmanaged.passRetained(Question(self, name)).toOpaque()
        let done: ares_addrinfo_callback = { asked, status, _, found in
            guard let asked else { return }
            let question = Unmanaged<Question>.fromOpaque(asked).takeRetainedValue()
            var addresses: [linux_address] = []
            if status == cares_success, let found { addresses = Resolver.addresses(of: found) }
            if let found { ares_freeaddrinfo(found) }
            // Destroying the channel answers what is under way; nobody waits any more.
            if status != cares_destroyed { question.resolver.finish(question.name, addresses, status) }
        }
        name.withCString { cares_start(channel, $0, done, question) }
    }

    private func finish(_ name: ByteString, _ addresses: [linux_address], _ status: Int32) {
        if addresses.isEmpty { note(.warning, "DNS lookup failed: \(name.lossyText): result=\(status)") }
        if remembered.count >= Self.rememberedLimit {
            remembered = remembered.filter { $0.value.expires > now }
        }
        var turn = 0
        for waiter in waiting.removeValue(forKey: name) ?? [] {
            answers.append((waiter, Self.rotated(addresses, by: turn)))
            turn &+= 1
        }
        hasNews = true
        if let old = remembered[name] { compare(name, old.addresses, addresses) }
        guard remembered[name] != nil || remembered.count < Self.rememberedLimit else { return }
        let expires = now + (addresses.isEmpty ? missingLifetime : lifetime)
        remembered[name] = Answer(addresses: addresses, expires: expires, turn: turn)
        if !zonePeriod.isZero, let zone = Self.zone(of: name), zones[zone] == nil {
            zones[zone] = Zone()
            checkZone(zone)
        }
    }

    /// A look-up that fails moves nothing: the servers that are there may go on.
    private func compare(_ name: ByteString, _ old: [linux_address], _ new: [linux_address]) {
        let before = Set(old.map { SocketAddress($0).host })
        let after = Set(new.map { SocketAddress($0).host })
        if new.isEmpty || before == after { return }
        if !before.isEmpty {
            let text =
                "\(before.sorted().joined(separator: ",")) now \(after.sorted().joined(separator: ","))"
            note(.log, "host '\(name.lossyText)' has other addresses: was \(text)")
        }
        movedHosts.append(MovedHost(name: name, addresses: new.map { SocketAddress($0) }))
    }

    private func note(_ level: Severity, _ text: String) {
        notes.append((level, text))
        hasNews = true
    }

    // MARK: Hosts of clients

    /// Asks for the name of an address, which must have this address among its own. The answer is among
    /// `takeHosts`, perhaps at once.
    func askHost(_ address: SocketAddress, for waiter: UInt64, now: Instant) {
        self.now = now
        var address = address
        address.port = 0
        if let known = rememberedHosts[address], known.expires > now {
            return hostAnswers.append((waiter, known.name))
        }
        if let asked = waitingForHosts[address] {
            if asked.until <= now { return hostAnswers.append((waiter, nil)) }
            waitingForHosts[address]?.waiters.append(waiter)
        } else {
            waitingForHosts[address] = ([waiter], now + Self.hostLimit)
            startHost(address)
        }
        planWait()
    }

    /// Whoever has waited long enough for the name of a host goes on without; the question may go on.
    private func giveUpHosts() {
        for (address, asked) in waitingForHosts where asked.until <= now && !asked.waiters.isEmpty {
            note(.warning, "DNS lookup failed: \(address.host): no answer in time")
            hostAnswers += asked.waiters.map { ($0, nil) }
            waitingForHosts[address]?.waiters = []
        }
    }

    var hasHosts: Bool { !hostAnswers.isEmpty }

    func takeHosts() -> [(waiter: UInt64, name: ByteString?)] {
        defer { hostAnswers = [] }
        return hostAnswers
    }

    /// One address whose name is being found out; the callbacks get it back.
    private final class HostQuestion {
        unowned let resolver: Resolver
        let address: SocketAddress
        /// What the address is said to be called.
        var name: ByteString = ""
        init(_ resolver: Resolver, _ address: SocketAddress) {
            self.resolver = resolver
            self.address = address
        }
    }

    private func startHost(_ address: SocketAddress) {
        let question = Unmanaged.passRetained(HostQuestion(self, address)).toOpaque()
        let done: ares_host_callback = { asked, status, _, found in
            guard let asked else { return }
            let question = Unmanaged<HostQuestion>.fromOpaque(asked).takeRetainedValue()
            guard status != cares_destroyed else { return }
            guard status == cares_success, let name = found?.pointee.h_name else {
                return question.resolver.finishHost(question.address, nil, status)
            }
            question.name = ByteString(String(cString: name))
            question.resolver.confirm(question)
        }
        let bytes = (0..<16).map {
            UInt8(truncatingIfNeeded: ($0 < 8 ? address.high : address.low) >> UInt64(56 - $0 % 8 * 8))
        }
        bytes.withUnsafeBytes {
            cares_start_host(channel, $0.baseAddress, address.family == .ipv4 ? 4 : 16, done, question)
        }
    }

    /// Whoever owns an address can have it called anything; only the owner of the name says whose it is.
    private func confirm(_ question: HostQuestion) {
        let done: ares_addrinfo_callback = { asked, status, _, found in
            guard let asked else { return }
            let question = Unmanaged<HostQuestion>.fromOpaque(asked).takeRetainedValue()
            var addresses: [linux_address] = []
            if status == cares_success, let found { addresses = Resolver.addresses(of: found) }
            if let found { ares_freeaddrinfo(found) }
            guard status != cares_destroyed else { return }
            let (high, low) = (question.address.high, question.address.low)
            let isIt = addresses.contains {
                SocketAddress($0).family == question.address.family && $0.high == high && $0.low == low
            }
            question.resolver.finishHost(question.address, isIt ? question.name : nil, status)
        }
        let asked = Unmanaged.passRetained(question).toOpaque()
        question.name.withCString { cares_start(channel, $0, done, asked) }
    }

    private func finishHost(_ address: SocketAddress, _ name: ByteString?, _ status: Int32) {
        if status != cares_success, status != cares_no_name, status != cares_no_record {
            note(.warning, "DNS lookup failed: \(address.host): result=\(status)")
        }
        hostAnswers += (waitingForHosts.removeValue(forKey: address)?.waiters ?? []).map { ($0, name) }
        if rememberedHosts.count >= Self.rememberedLimit {
            rememberedHosts = rememberedHosts.filter { $0.value.expires > now }
        }
        guard rememberedHosts.count < Self.rememberedLimit else { return }
        rememberedHosts[address] = (name, now + (name == nil ? missingLifetime : lifetime))
    }

    // MARK: Zones

    /// How often serial numbers are looked at from here on; zero never does.
    func checkZones(every period: TimeSpan, now: Instant) {
        guard period != zonePeriod else { return }
        self.now = now
        zonePeriod = period
        zoneDeadline = period.isZero ? nil : now + period
        zones = [:]
        hasNews = true
        defer { planWait() }
        if period.isZero { return }
        for zone in Set(remembered.keys.compactMap { Self.zone(of: $0) }) {
            zones[zone] = Zone()
            checkZone(zone)
        }
    }

    /// What stands behind the first dot.
    private static func zone(of name: ByteString) -> ByteString? {
        guard let dot = name.bytes.firstIndex(of: UInt8(ascii: ".")), dot + 1 < name.count else { return nil }
        return ByteString(Array(name.bytes[(dot + 1)...]))
    }

    private func checkZone(_ zone: ByteString) {
        zoneQuestions += 1
        let question = Unmanaged.passRetained(Question(self, zone)).toOpaque()
        let done: ares_callback = { asked, status, _, bytes, length in
            guard let asked else { return }
            let question = Unmanaged<Question>.fromOpaque(asked).takeRetainedValue()
            guard status != cares_destroyed else { return }
            let serial = status == cares_success ? cares_serial(bytes, length) : -1
            question.resolver.finishZone(question.name, serial < 0 ? nil : serial)
        }
        zone.withCString { cares_start_zone(channel, $0, done, question) }
    }

    private func finishZone(_ zone: ByteString, _ serial: Int64?) {
        zoneQuestions -= 1
        hasNews = true
        // A zone without an answer keeps the number that is known.
        guard let serial, let old = zones[zone] else { return }
        zones[zone]?.serial = serial
        guard let before = old.serial, before != serial else { return }
        note(.log, "zone '\(zone.lossyText)' serial changed: old=\(before) new=\(serial)")
        for name in remembered.keys where Self.zone(of: name) == zone { lookUp(name, for: nil) }
    }

    // MARK: Sockets and time

    /// Moves on what is ready or overdue.
    func work(_ now: Instant) {
        self.now = now
        let none: ares_socket_t = -1
        let count = poller.blockingWaitForWork(.zero)
        for index in 0..<count {
            let event = poller[index]
            let socket = ares_socket_t(truncatingIfNeeded: event.word)
            let isReadable = event.what.meets(.anyInput)
            ares_process_fd(
                channel, isReadable ? socket : none, event.what.meets(.writable) ? socket : none)
        }
        if count == 0 { ares_process_fd(channel, none, none) }
        if !waitingForHosts.isEmpty { giveUpHosts() }
        if let deadline = zoneDeadline, deadline <= now {
            zoneDeadline = now + zonePeriod
            for zone in zones.keys.sorted() { checkZone(zone) }
        }
        planWait()
    }

    private func planWait() {
        let wait = cares_wait_milliseconds(channel)
        nextDeadline = wait < 0 ? nil : MonotonicClock.now() + .milliseconds(wait)
        if let zone = zoneDeadline { nextDeadline = min(zone, nextDeadline ?? zone) }
        for asked in waitingForHosts.values where !asked.waiters.isEmpty {
            nextDeadline = min(asked.until, nextDeadline ?? asked.until)
        }
    }

    private func watch(_ descriptor: Int32, _ readable: Bool, _ writable: Bool) {
        guard readable || writable else { return poller.remove(descriptor) }
        var interest: Interest = []
        if readable { interest.insert(.readable) }
        if writable { interest.insert(.writable) }
        let word = UInt64(UInt32(bitPattern: descriptor))
        if poller.change(descriptor, interest, word: word) != 0 {
            poller.add(descriptor, interest, word: word)
        }
    }

    private static func rotated(_ addresses: [linux_address], by turn: Int) -> [linux_address] {
        guard addresses.count > 1 else { return addresses }
        let shift = Int(UInt(bitPattern: turn) % UInt(addresses.count))
        return Array(addresses[shift...] + addresses[..<shift])
    }

    private static func addresses(of found: UnsafeMutablePointer<ares_addrinfo>) -> [linux_address] {
        var addresses: [linux_address] = []
        var node = found.pointee.nodes
        while let each = node {
            var address = linux_address()
            if let socket = each.pointee.ai_addr, linux_read_sockaddr(socket, &address) != 0 {
                addresses.append(address)
            }
            node = each.pointee.ai_next
        }
        return addresses
    }
}
