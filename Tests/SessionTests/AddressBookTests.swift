import Primitives
import Session
import Testing

/// The macros of the tests cannot call what mutates.
private final class Book {
    private var book = AddressBook()
    func arrive(_ address: SocketAddress, limit: Int) -> Bool { book.arrive(address, limit: limit) }
    func enter(_ address: SocketAddress, limit: Int) -> Bool { book.enter(address, limit: limit) }
    func leave(_ address: SocketAddress, wasGuest: Bool) { book.leave(address, wasGuest: wasGuest) }
    func stepBack(_ address: SocketAddress) { book.stepBack(address) }
    func failed(_ address: SocketAddress, now: Instant) { book.failed(address, now: now) }
    func isShutOut(_ address: SocketAddress, limit: Int, now: Instant) -> Bool {
        book.isShutOut(address, limit: limit, now: now)
    }
    var addressCount: Int { book.addressCount }
}

/// Connections and failures by address.
@Suite struct AddressBookTests {
    static func four(_ number: UInt64, port: UInt16 = 1) -> SocketAddress {
        SocketAddress(family: .ipv4, high: number << 32, port: port)
    }
    static func six(_ network: UInt64, _ host: UInt64) -> SocketAddress {
        SocketAddress(family: .ipv6, high: network, low: host)
    }

    @Test func aLimitIsExact() {
        let book = Book()
        for port in 1...4 { #expect(book.arrive(Self.four(1, port: UInt16(port)), limit: 3)) }
        for _ in 0..<3 {
            #expect(book.enter(Self.four(1), limit: 3))
        }
        #expect(!book.enter(Self.four(1), limit: 3))
        #expect(book.arrive(Self.four(2), limit: 3))
        #expect(book.enter(Self.four(2), limit: 3))
        book.leave(Self.four(1), wasGuest: true)
        #expect(book.enter(Self.four(1), limit: 3))
        #expect(book.enter(Self.four(1), limit: 0))
    }

    @Test func moreThanTheLimitMayArriveButNotFarMore() {
        let book = Book()
        for _ in 0..<10 { #expect(book.arrive(Self.four(1), limit: 2)) }
        #expect(!book.arrive(Self.four(1), limit: 2))
        #expect(book.arrive(Self.four(1), limit: 0))
    }

    @Test func aNetworkOfIPv6IsOneAddress() {
        let book = Book()
        for host in 1...3 { _ = book.arrive(Self.six(0x2001_0DB8, UInt64(host)), limit: 1) }
        #expect(book.enter(Self.six(0x2001_0DB8, 1), limit: 1))
        #expect(!book.enter(Self.six(0x2001_0DB8, 2), limit: 1))
        #expect(book.enter(Self.six(0x2001_0DB9, 2), limit: 1))
        #expect(book.addressCount == 2)
    }

    @Test func anIPv4AddressThroughIPv6IsTheSame() {
        let book = Book()
        _ = book.arrive(Self.four(0x0A00_0001), limit: 1)
        #expect(book.enter(Self.four(0x0A00_0001), limit: 1))
        let mapped = SocketAddress(family: .ipv6, low: 0xFFFF << 32 | 0x0A00_0001)
        #expect(!book.enter(mapped, limit: 1))
        let other = SocketAddress(family: .ipv6, low: 0xFFFF << 32 | 0x0A00_0002)
        #expect(book.enter(other, limit: 1))
    }

    @Test func unixSocketsDoNotCount() {
        let book = Book()
        let unix = SocketAddress(family: .unix)
        for _ in 0..<20 {
            #expect(book.arrive(unix, limit: 1))
            #expect(book.enter(unix, limit: 1))
        }
        book.failed(unix, now: .zero)
        #expect(!book.isShutOut(unix, limit: 1, now: .zero))
        #expect(book.addressCount == 0)
    }

    @Test func nothingIsLeftOfThoseWhoAreGone() {
        let book = Book()
        for number in 0..<1000 { _ = book.arrive(Self.four(UInt64(number)), limit: 1) }
        for number in 0..<500 { _ = book.enter(Self.four(UInt64(number)), limit: 1) }
        book.stepBack(Self.four(0))
        book.leave(Self.four(0), wasGuest: false)
        for number in 1..<1000 { book.leave(Self.four(UInt64(number)), wasGuest: number < 500) }
        #expect(book.addressCount == 0)
    }

    @Test func failuresShutOutForAMinute() {
        let book = Book()
        let start = Instant.zero + .seconds(5)
        for second in 0..<3 {
            #expect(!book.isShutOut(Self.four(1), limit: 3, now: start + .seconds(second)))
            book.failed(Self.four(1), now: start + .seconds(second))
        }
        #expect(book.isShutOut(Self.four(1), limit: 3, now: start + .seconds(59)))
        #expect(!book.isShutOut(Self.four(1), limit: 4, now: start + .seconds(59)))
        #expect(!book.isShutOut(Self.four(2), limit: 3, now: start + .seconds(59)))
        #expect(!book.isShutOut(Self.four(1), limit: 0, now: start + .seconds(59)))
        #expect(!book.isShutOut(Self.four(1), limit: 3, now: start + .seconds(60)))
        book.failed(Self.four(1), now: start + .seconds(61))
        #expect(!book.isShutOut(Self.four(1), limit: 3, now: start + .seconds(61)))
    }

    /// Whoever has a great many addresses makes the oldest be forgotten, and no memory grow.
    @Test func failuresAreBounded() {
        let book = Book()
        for number in 0..<20_000 { book.failed(Self.four(UInt64(number)), now: .zero) }
        #expect(!book.isShutOut(Self.four(0), limit: 1, now: .zero))
        #expect(book.isShutOut(Self.four(19_999), limit: 1, now: .zero))
        let kept = (0..<20_000).count { book.isShutOut(Self.four(UInt64($0)), limit: 1, now: .zero) }
        #expect(kept == 4096)
    }
}
