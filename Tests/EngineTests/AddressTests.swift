import Config
import Primitives
import Session
import Testing

@testable import Engine

/// What proxies say of their clients, how many clients an address may have, and how many strangers there may
/// be.
@Suite struct AddressTests {
    static let proxy = SocketAddress(family: .ipv4, high: 0x0A00_0005 << 32, port: 9)
    static let outsider = SocketAddress(family: .ipv4, high: 0x0B00_0005 << 32, port: 9)
    static let login = startup([("user", "u"), ("database", "db")])
    static let line = Bytes("PROXY TCP4 203.0.113.7 10.0.0.1 50000 6380\r\n".utf8)
    static let binary: Bytes =
        [0x0D, 0x0A, 0x0D, 0x0A, 0, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A, 0x21, 0x11, 0, 16]
        + [203, 0, 113, 7, 10, 0, 0, 1, 0xC3, 0x50, 0x18, 0xEC, 0xEA, 0, 1, 7]
    static let own: Bytes = Array(binary[..<12]) + [0x20, 0, 0, 0]

    static func address(_ number: UInt64) -> SocketAddress {
        SocketAddress(family: .ipv4, high: number << 32, port: 7)
    }

    private func proxied(
        _ delivery: Delivery = .whole, _ configure: (inout Setup) -> Void = { _ in }
    ) -> Bench {
        Bench(delivery) {
            $0.global.proxyProtocol = true
            $0.global.proxyProtocolTrusted = AddressList(["10.0.0.0/24", "fd00::/8"]) ?? AddressList()
            configure(&$0)
        }
    }

    // MARK: Headers

    @Test(arguments: [line, binary], Delivery.allCases)
    func theClientIsWhereTheProxySays(_ header: Bytes, _ delivery: Delivery) {
        let bench = proxied(delivery) { $0.global.applicationNameAddHost = true }
        bench.dial("A", from: Self.proxy)
        bench.say("A", header + startup([("user", "u"), ("database", "db"), ("application_name", "a")]))
        #expect(bench.state("A") == "awaitingWelcome")
        #expect(
            bench.log.contains {
                $0.contains("(nouser)@203.0.113.7:50000 login attempt: db=db user=u")
                    || $0.contains("u@203.0.113.7:50000 login attempt")
            })
        bench.login("S1")
        #expect(bench.got("A").contains("S(application_name·a - 203.0.113.7:50000)"))
        bench.finish()
    }

    @Test func aProxyThatSpeaksForItselfKeepsItsAddress() {
        let bench = proxied()
        bench.dial("A", from: Self.proxy)
        bench.say("A", Self.own + Self.login)
        #expect(bench.log.contains { $0.contains("@10.0.0.5:9 login attempt: db=db user=u") })
        bench.finish()
    }

    @Test(arguments: Delivery.allCases)
    func tlsAndCancelRequestsComeBehindTheHeader(_ delivery: Delivery) {
        let bench = proxied(delivery) { $0.global.clientTLSSSLMode = .prefer }
        bench.dial("A", from: Self.proxy)
        bench.say("A", Self.line + sslRequest)
        #expect(bench.sent["A"] == Bytes("S".utf8))
        bench.secure("A")
        bench.say("A", Self.login)
        #expect(bench.state("A") == "awaitingWelcome")
        bench.dial("B", from: Self.proxy)
        let told = bench.say("B", Self.binary + [0x16, 3, 1])
        #expect(told.contains { $0.hasPrefix("startTLS B") })
        bench.dial("C", from: Self.proxy)
        bench.say("C", Self.line + cancelRequest([0, 0, 0, 9, 0, 0, 0, 9]))
        #expect(bench.state("C") == "gone")
        bench.finish()
    }

    @Test func aTrustedProxyMustSendOne() {
        let bench = proxied()
        bench.dial("A", from: Self.proxy)
        bench.say("A", Self.login)
        #expect(
            bench.got("A").first?.hasPrefix("E(FATAL 08P01 PROXY protocol header expected (proxy_protocol)")
                == true)
        #expect(bench.state("A") == "gone")
        bench.dial("B", from: Self.proxy)
        bench.say("B", Bytes("PROXY TCP4 nonsense\r\n".utf8) + Self.login)
        #expect(bench.got("B") == ["dropped"])
        #expect(
            bench.log.contains {
                $0.contains("broken PROXY protocol header: not two addresses and two ports")
            })
        bench.finish()
    }

    @Test(arguments: [line, binary], [true, false])
    func nobodyElseIsBelieved(_ header: Bytes, _ isOn: Bool) {
        let bench = proxied { $0.global.proxyProtocol = isOn }
        bench.dial("A", from: Self.outsider)
        bench.say("A", header + Self.login)
        #expect(bench.got("A") == ["dropped"])
        let why =
            isOn
            ? "PROXY protocol header from an address that is not in proxy_protocol_trusted"
            : "PROXY protocol header, but proxy_protocol is off"
        #expect(bench.log.contains { $0.contains("@11.0.0.5:9 pooler error: \(why)") })
        bench.dial("B", from: Self.outsider)
        bench.say("B", Self.login)
        #expect(bench.state("B") == "awaitingWelcome")
        bench.finish()
    }

    /// One header a connection: a second one is what the client itself says.
    @Test func aSecondHeaderIsNoHeader() {
        let bench = proxied()
        bench.dial("A", from: Self.proxy)
        bench.say("A", Self.line + Bytes("PROXY TCP4 198.51.100.1 10.0.0.1 1 2\r\n".utf8) + Self.login)
        #expect(bench.got("A") == ["dropped"])
        #expect(!bench.log.contains { $0.contains("198.51.100.1") })
        bench.finish()
    }

    @Test func aSilentProxyHasTheLoginTimeout() {
        let bench = proxied { $0.global.clientLoginTimeout = .seconds(10) }
        bench.dial("A", from: Self.proxy)
        bench.say("A", Array(Self.line.prefix(20)))
        bench.pass(.seconds(11))
        #expect(bench.state("A") == "gone")
        bench.finish()
    }

    // MARK: Connections of one address

    private func limited(_ configure: (inout Setup) -> Void = { _ in }) -> Bench {
        Bench {
            $0.global.maxClientConnPerAddress = 2
            $0.global.maxClientConn = 1000
            configure(&$0)
        }
    }

    private let tooMany =
        "E(FATAL 53300 no more connections allowed from this address (max_client_conn_per_address)"

    @Test func aThirdClientOfAnAddressIsRefused() {
        let bench = limited()
        for name in ["A", "B", "C"] {
            bench.dial(name, from: Self.address(1))
            bench.say(name, Self.login)
        }
        #expect(bench.state("A") == "awaitingWelcome")
        #expect(bench.state("B") == "awaitingWelcome")
        #expect(bench.got("C").first?.hasPrefix(tooMany) == true)
        #expect(
            bench.log.contains {
                $0.contains("@0.0.0.1:7 pooler error: no more connections allowed from this")
            })
        bench.dial("D", from: Self.address(2))
        bench.say("D", Self.login)
        #expect(bench.state("D") == "awaitingWelcome")
        bench.end("A")
        bench.dial("E", from: Self.address(1))
        bench.say("E", Self.login)
        #expect(bench.state("E") == "awaitingWelcome")
        bench.finish()
    }

    /// Those who say nothing do not fill the place of those who log in, and are not many themselves.
    @Test func silentConnections() {
        let bench = limited()
        for number in 0..<10 { bench.dial("A\(number)", from: Self.address(1)) }
        bench.dial("B", from: Self.address(1))
        #expect(bench.got("B").first?.hasPrefix(tooMany) == true)
        for number in 0..<3 { bench.say("A\(number)", Self.login) }
        #expect(bench.state("A1") == "awaitingWelcome")
        #expect(bench.state("A2") == "gone")
        bench.finish()
    }

    @Test func theRealAddressCountsBehindAProxy() {
        let bench = limited {
            $0.global.proxyProtocol = true
            $0.global.proxyProtocolTrusted = AddressList(["10.0.0.0/24"]) ?? AddressList()
        }
        for number in 1...3 {
            bench.dial("A\(number)", from: Self.proxy)
            bench.say(
                "A\(number)", Bytes("PROXY TCP4 203.0.113.\(number) 10.0.0.1 5 6\r\n".utf8) + Self.login)
            #expect(bench.state("A\(number)") == "awaitingWelcome")
            bench.dial("B\(number)", from: Self.proxy)
            bench.say("B\(number)", Self.line + Self.login)
            #expect(bench.state("B\(number)") == (number < 3 ? "awaitingWelcome" : "gone"))
        }
        bench.finish()
    }

    @Test func theConsoleIsOpenToAnAddressThatIsFull() {
        let bench = limited { $0.global.adminUsers = ["u"] }
        for name in ["A", "B"] {
            bench.dial(name, from: Self.address(1))
            bench.say(name, Self.login)
        }
        for number in 0..<12 {
            bench.dial("C\(number)", from: Self.address(1))
            bench.say("C\(number)", startup([("user", "u"), ("database", "pgbouncer")]))
            #expect(bench.state("C\(number)") == "console")
        }
        bench.finish()
    }

    // MARK: Failed logins

    @Test func anAddressThatGuessesIsShutOutForAMinute() {
        let bench = Bench {
            $0.global.authType = .plain
            $0.global.maxFailedLoginsPerAddress = 3
            $0.secrets["u"] = "right"
        }
        func attempt(_ name: String, _ password: String, from number: UInt64, to database: String = "db") {
            bench.dial(name, from: Self.address(number))
            bench.say(name, startup([("user", "u"), ("database", database)]))
            guard bench.state(name) != "gone" else { return }
            bench.say(name, message("p", Bytes(password.utf8) + [0]))
        }
        for number in 0..<3 { attempt("A\(number)", "wrong", from: 1) }
        attempt("B", "right", from: 1)
        #expect(
            bench.got("B").first?.hasPrefix(
                "E(FATAL 53300 too many failed logins from this address (max_failed_logins_per_address)")
                == true)
        attempt("B2", "right", from: 1, to: "pgbouncer")
        #expect(bench.state("B2") == "gone")
        attempt("C", "right", from: 2)
        #expect(bench.state("C") == "awaitingWelcome")
        bench.pass(.seconds(61))
        attempt("D", "right", from: 1)
        #expect(bench.state("D") == "awaitingWelcome")
        bench.finish()
    }

    // MARK: Strangers

    /// Whoever waits longest without saying who it is makes room for the next.
    @Test func theOldestStrangerGoes() {
        let bench = Bench {
            $0.global.maxLoginConns = 3
            $0.global.maxClientConn = 1000
        }
        bench.connect("S")
        for name in ["A", "B", "C"] { bench.dial(name) }
        bench.dial("D")
        #expect(
            bench.got("A").first?.hasPrefix(
                "E(FATAL 53300 too many connections are logging in (max_login_conns)")
                == true)
        #expect(bench.state("S") == "awaitingWelcome")
        bench.say("B", Self.login)
        bench.dial("E")
        #expect(bench.state("C") == "startup")
        bench.dial("F")
        #expect(bench.state("C") == "gone")
        #expect(bench.state("B") == "awaitingWelcome")
        bench.finish()
    }

    @Test func aFloodOfStrangersIsBounded() {
        let bench = Bench { $0.global.maxClientConn = 10 }
        for number in 0..<1000 { bench.dial("A\(number)") }
        #expect(bench.board.clients.count == 64)
        #expect(bench.state("A935") == "gone")
        #expect(bench.state("A936") == "startup")
        bench.finish()
    }
}
