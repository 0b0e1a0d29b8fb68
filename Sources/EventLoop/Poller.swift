import CLinux
package import Primitives

/// What a descriptor is watched for; a broken connection is always reported.
package struct Interest: OptionSet, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static var readable: Interest { Interest(rawValue: linux_readable) }
    package static var writable: Interest { Interest(rawValue: linux_writable) }
    /// The peer has closed its side.
    package static var peerGone: Interest { Interest(rawValue: linux_peer_gone) }
    /// Both sides are closed, or the connection failed. Only ever reported, never asked for.
    package static var broken: Interest { Interest(rawValue: linux_broken) }
    /// Something that a `recv` will tell.
    package static var anyInput: Interest {
        Interest(rawValue: linux_readable | linux_peer_gone | linux_broken)
    }
    /// There will be no more input.
    package static var anyEnd: Interest { Interest(rawValue: linux_peer_gone | linux_broken) }

    /// Has something in common with `other`. (The general set operations, above all array literals,
    /// allocate.)
    @inline(__always)
    package func meets(_ other: Interest) -> Bool { rawValue & other.rawValue != 0 }
}

/// One thing that happened: what was registered, and what it is ready for.
package struct Readiness: Sendable {
    package let word: UInt64
    package let what: Interest
}

/// A level-triggered epoll set with 64 bits of user data a descriptor.
package struct Poller: ~Copyable {
    private let epoll: Socket
    private let events: UnsafeMutablePointer<linux_event>
    /// Events taken from the kernel at once; more wait in the kernel, in order.
    package static let batchLimit = 256

    /// `nil` when the kernel gives no epoll set.
    package init?() {
        guard let epoll = Socket(result: linux_epoll_create()) else { return nil }
        self.epoll = epoll
        events = .allocate(capacity: Self.batchLimit)
    }

    deinit { events.deallocate() }

    /// The set's own descriptor, for nesting.
    package var descriptor: Int32 { epoll.descriptor }

    /// Sleeps until something is ready or the time is over; `nil` sleeps for ever. The number of events.
    ///
    /// Never rename this function: profiles subtract the time spent in it by name.
    @inline(never)
    package func blockingWaitForWork(_ longest: TimeSpan?) -> Int {
        let count = linux_epoll_wait(
            epoll.descriptor, events, Int32(Self.batchLimit), Self.milliseconds(longest))
        // A signal that interrupts is no event; the loop looks at its deadlines and sleeps again.
        return max(0, count)
    }

    /// Rounded up, so that no deadline fires early.
    static func milliseconds(_ longest: TimeSpan?) -> Int32 {
        guard let longest else { return -1 }
        let (quotient, rest) = longest.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000)
        return Int32(clamping: quotient &+ (rest > 0 ? 1 : 0))
    }

    /// One of the events of the last wait.
    package subscript(index: Int) -> Readiness {
        @inline(__always) get {
            precondition(index >= 0 && index < Self.batchLimit, "an event that was never taken was read")
            return Readiness(word: events[index].word, what: Interest(rawValue: events[index].flags))
        }
    }

    /// 0 or a negated errno.
    @discardableResult
    package func add(_ descriptor: Int32, _ interest: Interest, word: UInt64) -> Int {
        linux_epoll_add(epoll.descriptor, descriptor, interest.rawValue, word)
    }

    /// 0 or a negated errno.
    @discardableResult
    package func change(_ descriptor: Int32, _ interest: Interest, word: UInt64) -> Int {
        linux_epoll_change(epoll.descriptor, descriptor, interest.rawValue, word)
    }

    /// Changes what is watched for, or begins to watch; 0 or a negated errno.
    @discardableResult
    package func watch(_ descriptor: Int32, _ interest: Interest, word: UInt64) -> Int {
        let result = change(descriptor, interest, word: word)
        return result == -Int(linux_not_found) ? add(descriptor, interest, word: word) : result
    }

    /// Not needed before a descriptor is closed.
    package func remove(_ descriptor: Int32) { _ = linux_epoll_remove(epoll.descriptor, descriptor) }
}
