import Auth
import Primitives
import Testing

/// Our two halves against each other: what they choose, and what a third one in between can do about it.
@Suite struct ScramBindingTests {
    private static let here: ByteString = "digest of the certificate"
    private static let elsewhere: ByteString = "digest of another certificate"

    /// The mechanism the prover chose, and how it ended.
    private func exchange(
        challenger: ByteString?, prover: ByteString?,
        between: (ByteString) -> ByteString = { $0 }
    ) -> (mechanism: String, end: String) {
        let secret = Secret(Login.password)
        var ours = Login(.scram, secret, binding: challenger)
        var theirs = ServerLogin(.secret(secret), binding: prover)
        var (_, asked) = ours.begin()
        var mechanism = ""
        for _ in 0..<4 {
            var (step, replies) = theirs.received(between(asked.first?.body ?? ""))
            switch step {
            case .failed(let failure): return (mechanism, "prover: \(failure.reason.lossyText)")
            case .accepted: return (mechanism, "accepted")
            case .replied: break
            }
            if mechanism.isEmpty {
                mechanism = String(
                    decoding: replies.first?.body.bytes.prefix { $0 != 0 } ?? [], as: UTF8.self)
            }
            // The prover has heard the signature.
            guard !replies.isEmpty else { return (mechanism, "accepted") }
            let (answer, more) = ours.received(replies.removeFirst().body)
            if case .rejected(let failure) = answer { return (mechanism, failure.reason.lossyText) }
            asked = more
        }
        return (mechanism, "no end")
    }

    @Test func overTLSTheExchangeIsBound() {
        let (mechanism, end) = exchange(challenger: Self.here, prover: Self.here)
        #expect(mechanism == "SCRAM-SHA-256-PLUS")
        #expect(end == "accepted")
    }

    @Test(arguments: [(nil, nil), (here, nil), (nil, here)] as [(ByteString?, ByteString?)])
    func whereOneCannotItIsNot(_ challenger: ByteString?, _ prover: ByteString?) {
        let (mechanism, end) = exchange(challenger: challenger, prover: prover)
        #expect(mechanism == "SCRAM-SHA-256")
        #expect(end == "accepted")
    }

    @Test func anotherCertificateInBetweenIsFoundOut() {
        let (mechanism, end) = exchange(challenger: Self.here, prover: Self.elsewhere)
        #expect(mechanism == "SCRAM-SHA-256-PLUS")
        #expect(end == "malformed SCRAM message (unexpected channel-binding attribute)")
    }

    @Test func takingTheBetterMechanismOutOfTheListIsFoundOut() {
        let (mechanism, end) = exchange(challenger: Self.here, prover: Self.here) { body in
            let plus = Array("SCRAM-SHA-256-PLUS".utf8) + [0]
            var bytes = body.bytes
            if let place = bytes.indices.first(where: { bytes[$0...].starts(with: plus) }) {
                bytes.removeSubrange(place..<(place + plus.count))
            }
            return ByteString(bytes)
        }
        #expect(mechanism == "SCRAM-SHA-256")
        #expect(
            end == "client supports SCRAM channel binding but was told that it is not offered, which it was")
    }

    @Test(arguments: [
        (
            "SCRAM-SHA-256-PLUS", "n,,n=,r=abc",
            "malformed SCRAM message (channel binding was chosen and is not there)"
        ),
        (
            "SCRAM-SHA-256-PLUS", "y,,n=,r=abc",
            "malformed SCRAM message (channel binding was chosen and is not there)"
        ),
        (
            "SCRAM-SHA-256-PLUS", "p=tls-unique,,n=,r=abc",
            "client requires SCRAM channel binding, but it is not supported"
        ),
        (
            "SCRAM-SHA-256", "p=tls-server-end-point,,n=,r=abc",
            "client requires SCRAM channel binding, but it is not supported"
        ),
        (
            "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,a=x,n=,r=abc",
            "client uses authorization identity, but it is not supported"
        ),
        ("SCRAM-SHA-256-PLUS", "p=tls-server-end-point", "malformed SCRAM message"),
        ("SCRAM-SHA-256-PLUS", "p", "malformed SCRAM message"),
    ])
    func oddBeginningsAreRefused(_ mechanism: String, _ first: String, _ reason: String) {
        var login = Login(.scram, Secret(Login.password), binding: Self.here)
        _ = login.begin()
        let count = first.utf8.count
        let body = Array(mechanism.utf8) + [0, 0, 0, 0, UInt8(count)] + Array(first.utf8)
        guard case (.rejected(let failure), _) = login.received(ByteString(body)) else {
            Issue.record("accepted")
            return
        }
        #expect(failure.reason.lossyText == reason)
    }

    @Test func withoutTLSTheBoundMechanismIsNone() {
        var login = Login(.scram, Secret(Login.password))
        _ = login.begin()
        let body = Array("SCRAM-SHA-256-PLUS".utf8) + [0, 0, 0, 0, 3] + Array("n,,".utf8)
        guard case (.rejected(.mechanism), _) = login.received(ByteString(body)) else {
            Issue.record("accepted")
            return
        }
    }
}
