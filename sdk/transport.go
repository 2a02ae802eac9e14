package sdk

import (
	"context"

	"tutti/api"
)

// Transport returns the transport of a Worker that works from outside, as the client's subject: its
// token needs the role api.Worker in the namespace.
func (c *Client) Transport() Transport { return remote{c} }

type remote struct{ c *Client }

// Poll implements Transport. It is not repeated here: what a lost answer assigned is handed out again
// once its claim expires, and the Worker keeps its results until they are answered for.
func (r remote) Poll(ctx context.Context, in api.PollIn) (api.PollOut, error) {
	return Call(ctx, r.c, api.PollTasks, in)
}

// Heartbeat implements Transport.
func (r remote) Heartbeat(ctx context.Context, in api.HeartbeatIn) (api.HeartbeatOut, error) {
	return Call(ctx, r.c, api.Heartbeat, in)
}

// SetVars implements Transport.
func (r remote) SetVars(ctx context.Context, in api.SetVarsIn) error {
	_, err := Call(ctx, r.c, api.SetVars, in)
	return err
}

// AppendLog implements Transport.
func (r remote) AppendLog(ctx context.Context, in api.AppendLogIn) error {
	_, err := Call(ctx, r.c, api.AppendLog, in)
	return err
}
