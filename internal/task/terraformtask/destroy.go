package terraformtask

import (
	"context"
	"fmt"

	"tutti/api"
	"tutti/errs"
	"tutti/internal/terraform"
	"tutti/sdk"
)

// Destroy is what terraform.destroy takes.
type Destroy struct {
	Place
	Config string `json:"config" doc:"ID of a configuration, from terraform.upload, which says how the providers are reached" minLength:"1" maxLength:"200"`
	Run    string `json:"run,omitempty" doc:"Handle of a run to end first, where one goes on or waits" maxLength:"200"`
	Fresh  *bool  `json:"fresh,omitempty" doc:"Where it is false, what is there was there before, and is not destroyed: the task fails instead"`
	Remove bool   `json:"remove,omitempty" doc:"Remove the workspace too, once it is empty"`
}

// DestroyOut is what terraform.destroy gives.
type DestroyOut struct {
	Destroyed int  `json:"destroyed" doc:"How many resources were destroyed; 0 where there were none"`
	Removed   bool `json:"removed" doc:"Whether the workspace was removed"`
}

func (d Deps) destroy() sdk.TaskType {
	return define(api.TaskType{Name: "terraform.destroy", Title: "Destroy what a workspace manages", Reattach: true,
		Doc: "Plans to destroy everything in the workspace's state and does it, without asking. It is what takes a build back (undo). A workspace that is empty, or not there, is fine."},
		func(ctx context.Context, t *sdk.Task, in Destroy) (DestroyOut, error) {
			driver, err := d.open(t, in.Place)
			if err != nil {
				return DestroyOut{}, err
			}
			return destroyed(ctx, t, driver, in)
		})
}

func destroyed(ctx context.Context, t *sdk.Task, driver terraform.Driver, in Destroy) (out DestroyOut, err error) {
	if in.Run != "" {
		if err := driver.Cancel(ctx, in.Workspace, in.Run); err != nil && !isFailure(err, terraform.FailMissing) && !errs.Is(err, errs.NotFound) {
			return out, fmt.Errorf("end run %s: %w", in.Run, err)
		}
	}
	have, err := driver.Outputs(ctx, in.Workspace)
	if errs.Is(err, errs.NotFound) {
		t.Logf("there is no workspace %s", in.Workspace)
		return out, nil
	}
	if err != nil {
		return out, err
	}
	if in.Fresh != nil && !*in.Fresh {
		return out, sdk.Fail(terraform.FailKept, "workspace %s managed resources before this run; they are left as they are now", in.Workspace).
			WithDetails(map[string]any{"resources": have.Resources}).WithHint("request the earlier state of the resource to go back to it")
	}
	if have.Resources == nil || len(have.Resources) > 0 {
		run, p, err := planned(ctx, t, driver, Plan{Place: in.Place, Config: in.Config, Destroy: true}, t.Key)
		if err != nil {
			return out, err
		}
		if p.HasChanges {
			a, err := applied(ctx, t, driver, in.Workspace, run)
			if err != nil {
				return out, err
			}
			out.Destroyed = a.Destroyed
		} else if err := driver.Cancel(ctx, in.Workspace, run); err != nil {
			return out, err
		}
	}
	if in.Remove {
		out.Removed, err = true, driver.Remove(ctx, in.Workspace)
	}
	return out, err
}
