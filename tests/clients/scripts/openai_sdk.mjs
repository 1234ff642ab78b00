// The official JavaScript SDK against the server of the first argument; what it says, as JSON.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none" });

const scenes = {
    async generate() {
        return client.images.generate({
            model: "gpt-image-1",
            prompt: "a red house at night",
            n: 2,
            size: "1536x1024",
            quality: "high",
            output_format: "jpeg",
            seed: 7,
        });
    },
    async defaults() {
        return client.images.generate({ model: "dall-e-2", prompt: "a blue fish" });
    },
    async models() {
        const listed = [];
        for await (const model of client.models.list()) listed.push(model);
        return { listed, read: await client.models.retrieve(listed[0].id) };
    },
    async stream() {
        const events = await client.images.generate({
            model: "gpt-image-1",
            prompt: "a red house",
            stream: true,
            partial_images: 2,
            num_inference_steps: 60,
        });
        const found = [];
        for await (const event of events) found.push(event);
        return found;
    },
    async errors() {
        const found = [];
        for (const asked of [{ size: "large" }, { model: "somebody/else" }, { prompt: "a cursed house" }]) {
            try {
                await client.images.generate({ prompt: "a house", ...asked });
            } catch (error) {
                found.push([error.constructor.name, error.param, error.code, error.message]);
            }
        }
        try {
            for await (const _ of await client.images.generate({ prompt: "a cursed house", stream: true }));
        } catch (error) {
            found.push([error.constructor.name, error.param, error.code, error.message]);
        }
        return found;
    },
    async impatient() {
        const asked = { prompt: "a slow house", num_inference_steps: 100 };
        const made = await client.images.generate(asked, { timeout: 700, maxRetries: 4 });
        return made.data.length;
    },
};

const said = {};
for (const name of process.argv.slice(3)) said[name] = await scenes[name]();
process.stdout.write(JSON.stringify(said));
