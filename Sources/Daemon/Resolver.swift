import CAres
import CLinux
import EventLoop
import Primitives

/// Looks up names without blocking, with /etc/hosts before the network, and remembers what it found for a
/// while.
///
/// c-ares' sockets are in a poller of their own, which the worker's poller watches as one descriptor.
final class Resolver {
    private struct Answer {
        var addresses: [linux_address]
        var expires: Instant
        /// The address the next asker gets first.
        var turn = 0
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

    /// More names than this are not remembered.
    private static let rememberedLimit = 1024

    var lifetime = TimeSpan.seconds(15)
    var missingLifetime = TimeSpan.seconds(15)
    private let poller: Poller
    private var channel: ares_channel?
    private var remembered: [ByteString: Answer] = [:]
    private var waiting: [ByteString: [UInt64]] = [:]
    private var answers: [(waiter: UInt64, addresses: [linux_address])] = []
    private(set) var nextDeadline: Instant?

    /// `nil` when c-ares cannot start.
    init?() {
        guard let poller = Poller() else { return nil }
        self.poller = poller
        guard ares_library_init(cares_init_all) == 0 else { return nil }
        let owner = Unmanaged.passUnretained(self).toOpaque()
        let watch: ares_sock_state_cb = { owner, descriptor, readable, writable in
            guard let owner else { return }
            Unmanaged<Resolver>.fromOpaque(owner).takeUnretainedValue()
                .watch(Int32(truncatingIfNeeded: descriptor), readable != 0, writable != 0)
        }
        guard cares_open(&channel, watch, owner) == 0 else { return nil }
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

    /// Asks for a name's addresses. The answer is among `takeAnswers`, perhaps at once.
    func ask(_ name: ByteString, for waiter: UInt64, now: Instant) {
        if var answer = remembered[name], answer.expires > now {
            answers.append((waiter, Self.rotated(answer.addresses, by: answer.turn)))
            answer.turn &+= 1
            remembered[name] = answer
            return
        }
        let isAsked = waiting[name] != nil
        waiting[name, default: []].append(waiter)
        if isAsked { return }
        let question = Unmanaged.passRetained(Question(self, name)).toOpaque()
        let done: ares_addrinfo_callback = { asked, status, _, found in
            guard let asked else { return }
            let question = Unmanaged<Question>.fromOpaque(asked).takeRetainedValue()
            var addresses: [linux_address] = []
            if status == cares_success, let found { addresses = Resolver.addresses(of: found) }
            if let found { ares_freeaddrinfo(found) }
            // Destroying the channel answers what is under way; nobody waits any more.
            if status != cares_destroyed { question.resolver.finish(question.name, addresses) }
        }
        name.withCString { cares_start(channel, $0, done, question) }
        planWait()
    }

    /// Moves on what is ready or overdue.
    func work() {
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
        planWait()
    }

    private func planWait() {
        let wait = cares_wait_milliseconds(channel)
        nextDeadline = wait < 0 ? nil : MonotonicClock.now() + .milliseconds(wait)
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

    private func finish(_ name: ByteString, _ addresses: [linux_address]) {
        let now = MonotonicClock.now()
        if remembered.count >= Self.rememberedLimit {
            remembered = remembered.filter { $0.value.expires > now }
        }
        var turn = 0
        for waiter in waiting.removeValue(forKey: name) ?? [] {
            answers.append((waiter, Self.rotated(addresses, by: turn)))
            turn &+= 1
        }
        guard remembered.count < Self.rememberedLimit else { return }
        let expires = now + (addresses.isEmpty ? missingLifetime : lifetime)
        remembered[name] = Answer(addresses: addresses, expires: expires, turn: turn)
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
